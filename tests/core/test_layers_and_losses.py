"""Linear, softmax and cross entropy: right gradients, no overflow, padding that counts in nothing."""

import numpy as np
import pytest

from rnnlib.gradcheck import central_difference, check_gradient
from rnnlib.layers import linear_backward, linear_forward
from rnnlib.losses import cross_entropy, softmax

RNG = np.random.default_rng(0)
X, W, B, DY = (RNG.standard_normal(shape) for shape in ((4, 3, 2), (5, 2), (5,), (4, 3, 5)))
LOGITS, TARGETS = RNG.standard_normal((4, 3, 5)), RNG.integers(0, 5, (4, 3))


def test_linear_gradients_agree_with_the_loss():
    y, cache = linear_forward(X, W, B)
    np.testing.assert_allclose(y[1, 2], W @ X[1, 2] + B, rtol=1e-14)
    dx, dW, db = linear_backward(DY, cache)
    assert check_gradient(lambda v: (linear_forward(v, W, B)[0] * DY).sum(), X, dx, tolerance=1e-14).ok
    assert check_gradient(lambda v: (linear_forward(X, v, B)[0] * DY).sum(), W, dW, tolerance=1e-14).ok
    assert check_gradient(lambda v: (linear_forward(X, W, v)[0] * DY).sum(), B, db, tolerance=1e-14).ok


def test_linear_keeps_float32_and_explains_a_transposed_matrix():
    y, cache = linear_forward(X.astype(np.float32), W.astype(np.float32), B.astype(np.float32))
    assert {a.dtype for a in (y, *linear_backward(y, cache))} == {np.dtype(np.float32)}
    with pytest.raises(ValueError, match="is W transposed"):
        linear_forward(X, W.T, B)
    with pytest.raises(ValueError, match=r"dy has shape \(4, 5\): expected \(4, 3, 5\)"):
        linear_backward(DY[:, 0], linear_forward(X, W, B)[1])


def test_softmax_sums_to_one_and_does_not_overflow():
    p = softmax(np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]]))
    assert np.array_equal(p, [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(softmax(LOGITS).sum(axis=-1), 1, rtol=1e-15)
    np.testing.assert_allclose(softmax(LOGITS + 100), softmax(LOGITS), rtol=1e-13)
    assert softmax(LOGITS.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
@pytest.mark.parametrize("method", ["complex step", "central difference"])
def test_cross_entropy_s_gradient_agrees_with_it(lengths, method):
    options = (
        {"method": central_difference, "tolerance": 1e-8} if method == "central difference" else {"tolerance": 1e-14}
    )
    _, dlogits = cross_entropy(LOGITS, TARGETS, lengths)
    assert check_gradient(lambda v: cross_entropy(v, TARGETS, lengths)[0], LOGITS, dlogits, **options).ok


def test_cross_entropy_is_the_mean_over_valid_positions():
    loss, _ = cross_entropy(LOGITS, TARGETS, [4, 0, 2])
    surprise = -np.log(np.take_along_axis(softmax(LOGITS), TARGETS[:, :, None], axis=2)[:, :, 0])
    assert loss == pytest.approx((surprise[:4, 0].sum() + surprise[:2, 2].sum()) / 6, rel=1e-14)
    assert cross_entropy(np.zeros((2, 3, 5)), np.zeros((2, 3), int))[0] == pytest.approx(np.log(5), rel=1e-15)


def test_padding_is_never_read_by_the_loss_and_never_written_by_its_gradient():
    padding = np.arange(4)[:, None] >= [4, 0, 2]
    logits, targets = np.where(padding[:, :, None], np.nan, LOGITS), np.where(padding, -1, TARGETS)
    loss, dlogits = cross_entropy(logits, targets, [4, 0, 2])
    expected, dexpected = cross_entropy(LOGITS, TARGETS, [4, 0, 2])
    assert loss == expected
    assert np.array_equal(dlogits, dexpected)
    assert not dlogits[padding].any()


def test_cross_entropy_stays_finite_and_in_float32():
    loss, dlogits = cross_entropy(np.array([[0, 1e4]], np.float32), np.array([0]))
    assert loss == 1e4
    assert {loss.dtype, dlogits.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("targets", "lengths", "error", "says"),
    [
        (TARGETS.astype(float), None, TypeError, "targets has dtype float64"),
        (np.eye(5, dtype=int)[TARGETS], None, ValueError, r"argmax\(axis=-1\)"),
        (TARGETS + 5, None, ValueError, "each must lie in 0 to V - 1 = 4"),
        (TARGETS - 5, None, ValueError, "each must lie in 0 to V - 1 = 4"),
        (TARGETS, [0, 0, 0], ValueError, "no position is valid"),
        (TARGETS, [5, 1, 1], ValueError, "each must lie in 0 to T = 4"),
    ],
)
def test_a_wrong_argument_of_cross_entropy_is_explained(targets, lengths, error, says):
    with pytest.raises(error, match=says):
        cross_entropy(LOGITS, targets, lengths)


def test_lengths_need_a_time_axis():
    with pytest.raises(ValueError, match=r"lengths go with logits \(T, N, V\)"):
        cross_entropy(LOGITS[0], TARGETS[0], [1, 1, 1])
