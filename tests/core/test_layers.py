"""Linear, embedding, layer norm and dropout: gradients as torch has them, and padding that gets none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.gradcheck import check_gradient
from rnnlib.layers import (
    dropout_backward,
    dropout_forward,
    embedding_backward,
    embedding_forward,
    layer_norm_backward,
    layer_norm_forward,
    linear_backward,
    linear_forward,
)

RNG = np.random.default_rng(0)
X, W, B, DY = (RNG.standard_normal(shape) for shape in ((4, 3, 2), (5, 2), (5,), (4, 3, 5)))
GAIN, SHIFT = RNG.standard_normal((2, 5))


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


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 99), st.integers(1, 6), st.integers(1, 4), st.lists(st.integers(0, 5), max_size=2))
def test_the_embedding_and_its_gradient_are_torch_s_whatever_repeats(seed, V, D, shape):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    ids, W = rng.integers(0, V, shape), rng.standard_normal((V, D))
    for padding_id in (None, V - 1):
        x, cache = embedding_forward(ids, W, padding_id)
        dx = rng.standard_normal(x.shape)
        W_torch = torch.tensor(W, requires_grad=True)
        expected = torch.nn.functional.embedding(torch.tensor(ids), W_torch, padding_idx=padding_id)
        expected.backward(torch.tensor(dx))
        assert np.array_equal(x, expected.detach().numpy())
        np.testing.assert_allclose(embedding_backward(dx, cache), W_torch.grad.numpy(), rtol=0, atol=1e-13)


def test_what_stands_in_an_embedding_s_gradient_at_padding_is_never_read():
    ids = np.array([[1, 2], [1, 0], [0, 0]])
    _, cache = embedding_forward(ids, W, padding_id=0)
    dW = embedding_backward(np.where(ids[:, :, None] == 0, np.nan, np.ones(2)), cache)
    assert np.array_equal(dW, [[0, 0], [2, 2], [1, 1], [0, 0], [0, 0]])


def test_a_thousand_small_gradients_of_one_token_do_not_vanish_beside_a_large_one_in_float32():
    dx = np.full((20001, 1), 1e-4, np.float32)
    dx[0] = 4096  # half the distance to the next float32 is 2.4e-4: added one by one, 1e-4 would change nothing
    _, cache = embedding_forward(np.zeros(20001, int), np.zeros((1, 1), np.float32))
    dW = embedding_backward(dx, cache)
    assert dW.dtype == np.float32
    assert dW[0, 0] == pytest.approx(4098, abs=1e-3)


@pytest.mark.parametrize(
    ("ids", "table", "padding_id", "error", "says"),
    [
        ([0.0, 1.0], W, None, TypeError, "ids has dtype float64"),
        ([0, 5], W, None, ValueError, r"each must lie in 0 to V - 1 = 4; is W as long"),
        ([-1, 0], W, None, ValueError, "ids run from -1 to 0"),
        ([0, 1], W, 5, ValueError, "padding_id is 5"),
        ([0, 1], W, -1, ValueError, "padding_id is -1"),
        ([0, 1], W[0], None, ValueError, r"W has shape \(2,\): expected \(V, D\)"),
        ([0, 1], np.eye(5, dtype=int), None, TypeError, "W has dtype int64"),
    ],
)
def test_a_wrong_token_is_explained(ids, table, padding_id, error, says):
    with pytest.raises(error, match=says):
        embedding_forward(ids, table, padding_id)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 99), st.lists(st.integers(1, 5), min_size=1, max_size=3), st.booleans())
def test_layer_norm_and_its_gradients_are_torch_s(seed, shape, has_bias):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    x, gain, bias, dy = (rng.standard_normal(s) for s in (shape, shape[-1], shape[-1], shape))
    bias = bias if has_bias else None
    ours = [array for array in (x, gain, bias) if array is not None]
    theirs = [torch.tensor(array, requires_grad=True) for array in ours]
    expected = torch.nn.functional.layer_norm(theirs[0], shape[-1:], *theirs[1:])
    expected.backward(torch.tensor(dy))
    y, cache = layer_norm_forward(x, gain, bias)
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=0, atol=1e-12)
    gradients = layer_norm_backward(dy, cache)
    assert (gradients.dbias is None) == (bias is None)
    for gradient, tensor in zip(gradients, theirs, strict=False):
        scale = max(1, np.abs(tensor.grad.numpy()).max())
        np.testing.assert_allclose(gradient, tensor.grad.numpy(), rtol=0, atol=1e-10 * scale)


def test_layer_norm_s_gradients_agree_with_the_loss():
    x = RNG.standard_normal((4, 3, 5))
    for bias in (SHIFT, None):
        dx, dgain, _ = layer_norm_backward(DY, layer_norm_forward(x, GAIN, bias, 0.1)[1])
        assert (
            check_gradient(lambda v, b=bias: (layer_norm_forward(v, GAIN, b, 0.1)[0] * DY).sum(), x, dx).error < 1e-13
        )
        assert (
            check_gradient(lambda v, b=bias: (layer_norm_forward(x, v, b, 0.1)[0] * DY).sum(), GAIN, dgain).error
            < 1e-13
        )


def test_layer_norm_forgets_scale_and_offset_and_leaves_x_alone():
    x = RNG.standard_normal((4, 3, 5))
    before = x.copy()
    y, _ = layer_norm_forward(x, GAIN, SHIFT, 0)
    np.testing.assert_allclose(layer_norm_forward(1000 * x - 7, GAIN, SHIFT, 0)[0], y, rtol=0, atol=1e-11)
    assert np.array_equal(x, before)
    assert np.array_equal(layer_norm_forward(np.full((2, 5), 3.0), GAIN, SHIFT)[0], [SHIFT, SHIFT])


def test_a_wrong_argument_of_layer_norm_is_explained():
    with pytest.raises(ValueError, match=r"gain has shape \(5,\): expected \(2,\)"):
        layer_norm_forward(X, GAIN, None)
    with pytest.raises(ValueError, match=r"bias has shape \(2,\): expected \(5,\)"):
        layer_norm_forward(DY, GAIN, B[:2])
    with pytest.raises(TypeError, match="several precisions"):
        layer_norm_forward(DY, GAIN.astype(np.float32), None)
    with pytest.raises(ValueError, match=r"dy has shape \(3, 5\): expected \(4, 3, 5\)"):
        layer_norm_backward(DY[0], layer_norm_forward(DY, GAIN, None)[1])


def test_without_a_generator_nothing_is_dropped():
    for p, rng in ((0.9, None), (0.0, np.random.default_rng(0))):
        y, cache = dropout_forward(DY, p, rng)
        assert y is DY
        assert dropout_backward(DY, cache) is DY


def test_dropout_drops_a_share_of_p_and_keeps_the_expected_value():
    y, _ = dropout_forward(np.ones((200, 500)), 0.2, np.random.default_rng(0))
    assert set(np.unique(y)) == {0, 1.25}
    assert (y == 0).mean() == pytest.approx(0.2, abs=0.006)  # five standard deviations
    assert y.mean() == pytest.approx(1, abs=0.008)


def test_dropout_s_gradient_agrees_with_the_loss():
    dx = dropout_backward(DY, dropout_forward(DY, 0.4, np.random.default_rng(7))[1])

    def loss(v):
        return (dropout_forward(v, 0.4, np.random.default_rng(7))[0] * DY).sum()

    assert 0 < (dx == 0).sum() < dx.size
    assert check_gradient(loss, DY, dx, tolerance=1e-14).ok


@pytest.mark.parametrize("axes", [(), (0,), (1,), (-1,), (0, 2), (0, 1, 2)])
def test_along_shared_axes_one_choice_holds_and_along_the_others_it_varies(axes):
    y, _ = dropout_forward(np.ones((20, 30, 40)), 0.5, np.random.default_rng(1), axes)
    shared = {axis % 3 for axis in axes}
    for axis in range(3):
        assert (y == y.take([0], axis)).all() == (axis in shared | ({0, 1, 2} if len(shared) == 3 else set()))


def test_embedding_dropout_drops_whole_tokens():
    y, _ = dropout_forward(np.ones((100, 8)), 0.5, np.random.default_rng(0), shared_axes=(1,))
    assert set(y.sum(axis=1)) == {0, 16}


def test_what_is_dropped_is_zero_even_where_it_was_infinite():
    x = np.full(100, np.inf)
    y, cache = dropout_forward(x, 0.5, np.random.default_rng(0))
    assert set(y) == set(dropout_backward(x, cache)) == {0, np.inf}


@pytest.mark.parametrize(
    ("p", "rng", "axes", "error", "says"),
    [
        (1.0, None, (), ValueError, "p is 1.0"),
        (-0.1, None, (), ValueError, "from 0 to below 1"),
        (0.5, 7, (), TypeError, "a seed would drop the same entries at every call"),
        (0.5, None, (3,), ValueError, "shared_axes: axis 3 is out of bounds"),
    ],
)
def test_a_wrong_argument_of_dropout_is_explained(p, rng, axes, error, says):
    with pytest.raises(error, match=says):
        dropout_forward(DY, p, rng, axes)
    with pytest.raises(ValueError, match="dy has shape"):
        dropout_backward(DY[0], dropout_forward(DY, 0.5, np.random.default_rng(0))[1])


def test_the_layers_keep_float32():
    x, gain = DY.astype(np.float32), GAIN.astype(np.float32)
    y, cache = layer_norm_forward(x, gain, gain)
    dropped, dropout_cache = dropout_forward(x, np.float64(0.5), np.random.default_rng(0))
    vectors, ids_cache = embedding_forward([0, 1, 1], x[0])
    arrays = y, *layer_norm_backward(y, cache), dropped, dropout_backward(x, dropout_cache)
    assert {a.dtype for a in (*arrays, vectors, embedding_backward(vectors, ids_cache))} == {np.dtype(np.float32)}
