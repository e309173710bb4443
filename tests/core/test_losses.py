"""Cross entropy, binary cross entropy, squared error: right gradients, no overflow, padding that counts in nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.gradcheck import central_difference, check_gradient
from rnnlib.losses import binary_cross_entropy, cross_entropy, mean_squared_error, softmax

RNG = np.random.default_rng(0)
LOGITS, TARGETS = RNG.standard_normal((4, 3, 5)), RNG.integers(0, 5, (4, 3))
LABELS, VALUES = RNG.random((4, 3, 5)), RNG.standard_normal((4, 3, 5))
LOSSES = {cross_entropy: TARGETS, binary_cross_entropy: LABELS, mean_squared_error: VALUES}
all_losses = pytest.mark.parametrize(("loss_of", "targets"), LOSSES.items(), ids=[f.__name__ for f in LOSSES])


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


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 4), st.integers(2, 4), st.sampled_from(["mean", "sum"]))
def test_every_loss_is_torch_s_over_the_valid_entries(seed, T, N, C, reduction):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, T + 1, N)
    lengths[0] = T
    valid = np.arange(T)[:, None] < lengths
    outputs = 3 * rng.standard_normal((T, N, C))
    peers = {
        cross_entropy: (torch.nn.functional.cross_entropy, rng.integers(0, C, (T, N))),
        binary_cross_entropy: (torch.nn.functional.binary_cross_entropy_with_logits, rng.random((T, N, C))),
        mean_squared_error: (torch.nn.functional.mse_loss, rng.standard_normal((T, N, C))),
    }
    for loss_of, (peer, targets) in peers.items():
        z = torch.tensor(outputs, requires_grad=True)
        expected = peer(z[torch.tensor(valid)], torch.tensor(targets[valid]), reduction=reduction)
        expected.backward()
        loss, gradient = loss_of(outputs, targets, lengths, reduction=reduction)
        assert loss == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(gradient, z.grad.numpy(), rtol=0, atol=1e-12)


@all_losses
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_gradient_agrees_with_its_loss(loss_of, targets, reduction):
    _, gradient = loss_of(LOGITS, targets, [4, 0, 2], reduction=reduction)
    report = check_gradient(lambda v: loss_of(v, targets, [4, 0, 2], reduction=reduction)[0], LOGITS, gradient)
    assert report.error < 1e-13


@all_losses
def test_what_stands_in_the_padding_counts_in_no_loss(loss_of, targets):
    padding = np.arange(4)[:, None] >= [4, 0, 2]
    outputs = np.where(padding[:, :, None], np.nan, LOGITS)
    dirty = np.where(padding, -1, targets) if targets is TARGETS else np.where(padding[:, :, None], np.nan, targets)
    loss, gradient = loss_of(outputs, dirty, [4, 0, 2])
    expected, dexpected = loss_of(LOGITS, targets, [4, 0, 2])
    assert loss == expected
    assert np.array_equal(gradient, dexpected)
    assert not gradient[padding].any()


@all_losses
def test_sums_over_uneven_micro_batches_add_up_to_the_mean_over_the_whole_batch(loss_of, targets):
    lengths, count = [4, 1, 2], 7 if targets is TARGETS else 7 * 5
    whole, dwhole = loss_of(LOGITS, targets, lengths)
    parts = [
        loss_of(LOGITS[:, part], targets[:, part], lengths[part], reduction="sum")
        for part in (slice(0, 1), slice(1, 3))
    ]
    assert sum(loss for loss, _ in parts) / count == pytest.approx(whole, rel=1e-14)
    together = np.concatenate([gradient for _, gradient in parts], axis=1) / count
    np.testing.assert_allclose(together, dwhole, rtol=1e-13)


@all_losses
def test_a_sum_over_nothing_is_zero_and_a_mean_over_nothing_is_an_error(loss_of, targets):
    loss, gradient = loss_of(LOGITS, targets, [0, 0, 0], reduction="sum")
    assert loss == 0
    assert not gradient.any()
    with pytest.raises(ValueError, match="no position is valid"):
        loss_of(LOGITS, targets, [0, 0, 0])


@all_losses
def test_every_loss_keeps_float32_whatever_its_targets_are(loss_of, targets):
    loss, gradient = loss_of(LOGITS.astype(np.float32), targets, [4, 0, 2])
    assert {loss.dtype, gradient.dtype} == {np.dtype(np.float32)}


@all_losses
def test_a_wrong_shape_or_reduction_is_explained(loss_of, targets):
    with pytest.raises(ValueError, match="targets has shape"):
        loss_of(LOGITS, targets[:, :1])  # would broadcast
    with pytest.raises(ValueError, match="reduction is 'none': expected 'mean' or 'sum'"):
        loss_of(LOGITS, targets, reduction="none")


def test_binary_cross_entropy_takes_one_answer_a_step_as_bool_or_number():
    yes = LABELS[:, :, 0] > 0.5
    loss, gradient = binary_cross_entropy(LOGITS[:, :, 0], yes, [4, 0, 2])
    p = 1 / (1 + np.exp(-LOGITS[:, :, 0]))
    surprise = -np.log(np.where(yes, p, 1 - p))
    assert loss == pytest.approx((surprise[:, 0].sum() + surprise[:2, 2].sum()) / 6, rel=1e-14)
    assert np.array_equal(gradient, binary_cross_entropy(LOGITS[:, :, 0], yes.astype(int), [4, 0, 2])[1])


def test_binary_cross_entropy_does_not_overflow_and_keeps_the_smallest_surprise():
    with np.errstate(all="raise", under="ignore"):
        loss, gradient = binary_cross_entropy(np.array([1e4, -1e4, 0.0]), [0, 1, 1], reduction="sum")
        assert loss == pytest.approx(2e4 + np.log(2), rel=1e-15)
        assert np.array_equal(gradient, [1, -1, -0.5])
        assert binary_cross_entropy(np.array([40.0]), [1])[0] == pytest.approx(np.exp(-40), rel=1e-14, abs=0)


def test_a_label_that_is_no_probability_is_explained():
    with pytest.raises(ValueError, match=r"labels of -1 and 1 become \(targets \+ 1\) / 2"):
        binary_cross_entropy(LOGITS, np.sign(VALUES))
    with pytest.raises(ValueError, match="each must lie in 0 to 1"):
        binary_cross_entropy(LOGITS, TARGETS[:, :, None] * np.ones(5))
    with pytest.raises(ValueError, match="each must lie in 0 to 1"):
        binary_cross_entropy(LOGITS, np.full(LOGITS.shape, np.nan))
