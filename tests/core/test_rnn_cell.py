"""The RNN cell, without torch: the fast form is the scan of its steps, and padding, dtypes and memory behave."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.cells import rnn
from rnnlib.gradcheck import central_difference, check_gradient, complex_step

STEADY = settings(deadline=None, max_examples=60, derandomize=True)
WEIGHTS = "W_ih", "W_hh", "b_ih", "b_hh"


class Batch(NamedTuple):
    x: np.ndarray
    h0: np.ndarray
    weights: list[np.ndarray]
    lengths: np.ndarray | None
    options: dict
    dhs: np.ndarray
    dh_last: np.ndarray

    def forward(self, **changes):
        new = self._replace(**changes)
        return rnn.forward(new.x, new.h0, *new.weights, new.lengths, **new.options)

    def run(self, **changes):
        """Everything that comes out, forward and backward."""
        new = self._replace(**changes)
        hs, h_last, cache = new.forward()
        return {"hs": hs, "h_last": h_last, **rnn.backward(new.dhs, new.dh_last, cache)._asdict()}

    def padding(self):
        return np.arange(len(self.x))[:, None] >= (len(self.x) if self.lengths is None else self.lengths)


def make(T, N, D, H, lengths=None, reverse=False, nonlinearity="tanh", seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x, h0, W_ih, W_hh, b_ih, b_hh, dhs, dh_last = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((T, N, D), (N, H), (H, D), (H, H), (H,), (H,), (T, N, H), (N, H))
    )
    weights = [W_ih, W_hh / np.sqrt(H).astype(dtype), b_ih, b_hh]
    lengths = None if lengths is None else np.asarray(lengths)
    return Batch(x, h0, weights, lengths, {"reverse": reverse, "nonlinearity": nonlinearity}, dhs, dh_last)


@st.composite
def batches(draw, padded=None):
    T, N, D, H = (draw(st.integers(1, most)) for most in (9, 5, 4, 5))
    ragged = draw(st.booleans()) if padded is None else padded
    lengths = draw(st.lists(st.integers(0, T), min_size=N, max_size=N)) if ragged else None
    reverse, nonlinearity = draw(st.booleans()), draw(st.sampled_from(["tanh", "relu"]))
    return make(T, N, D, H, lengths, reverse, nonlinearity, draw(st.integers(0, 999)))


def scan(batch):
    """The specification: step by step over the whole padded batch, holding the state on padding."""
    T = len(batch.x)
    padding = batch.padding()[:, :, None]
    x = np.where(padding, 0, batch.x)
    steps = list(range(T))[::-1] if batch.options["reverse"] else list(range(T))
    h, hs, caches = batch.h0, np.zeros(batch.dhs.shape), {}
    for t in steps:
        h_next, caches[t] = rnn.step_forward(x[t], h, *batch.weights, batch.options["nonlinearity"])
        h = np.where(padding[t], h, h_next)
        hs[t] = np.where(padding[t], 0, h_next)
    dh, dx, dweights = batch.dh_last, np.zeros(x.shape), [np.zeros(w.shape) for w in batch.weights]
    for t in steps[::-1]:
        step = rnn.step_backward(np.where(padding[t], 0, dh + batch.dhs[t]), caches[t])
        dx[t], dh = step.dx, np.where(padding[t], dh, step.dh)
        dweights = [a + b for a, b in zip(dweights, step[2:], strict=True)]
    names = ("hs", "h_last", *rnn.Gradients._fields)
    return dict(zip(names, (hs, h, dx, dh, *dweights), strict=True))


def assert_same(one, other, tolerance=1e-12):
    for name in one:
        scale = max(1e-300, np.abs(other[name]).max(initial=0))
        assert np.abs(one[name] - other[name]).max(initial=0) <= tolerance * scale, name


@STEADY
@given(batches())
def test_the_fast_form_is_the_scan_of_steps(batch):
    assert_same(batch.run(), scan(batch))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("T", "N"), [(1200, 1), (70, 40), (3, 600)])
def test_the_fast_form_is_the_scan_of_steps_over_many_blocks(T, N, ragged, reverse):
    lengths = np.random.default_rng(1).integers(0, T + 1, N) if ragged else None
    batch = make(T, N, 3, 4, lengths, reverse)
    assert_same(batch.run(), scan(batch))


@STEADY
@given(batches(padded=True), st.sampled_from([np.nan, np.inf, 1e300]))
def test_what_stands_in_the_padding_changes_nothing_bit_for_bit(batch, junk):
    padding = batch.padding()[:, :, None]
    filled = batch.run(x=np.where(padding, junk, batch.x), dhs=np.where(padding, junk, batch.dhs))
    for name, array in batch.run().items():
        assert np.array_equal(array, filled[name]), name


@STEADY
@given(batches(padded=True))
def test_outputs_and_gradients_of_padding_are_exactly_zero(batch):
    results = batch.run()
    assert not results["hs"][batch.padding()].any()
    assert not results["dx"][batch.padding()].any()


@STEADY
@given(batches(padded=True), st.integers(1, 4))
def test_the_amount_of_padding_changes_nothing(batch, more):
    def extend(a):
        return np.concatenate([a, np.full((more, *a.shape[1:]), np.nan)])

    longer, results = batch.run(x=extend(batch.x), dhs=extend(batch.dhs)), batch.run()
    longer["hs"], longer["dx"] = longer["hs"][:-more], longer["dx"][:-more]
    assert_same(longer, results)


@STEADY
@given(batches(padded=True))
def test_a_sequence_alone_and_without_padding_gives_the_same(batch):
    results = batch.run()
    totals = [np.zeros(w.shape) for w in batch.weights]
    for i, length in enumerate(batch.lengths):
        if length == 0:
            assert np.array_equal(results["h_last"][i], batch.h0[i])
            assert np.array_equal(results["dh0"][i], batch.dh_last[i])
            continue
        one = [a[:length, i : i + 1] for a in (batch.x, batch.dhs)] + [a[i : i + 1] for a in (batch.h0, batch.dh_last)]
        alone = batch.run(x=one[0], dhs=one[1], h0=one[2], dh_last=one[3], lengths=None)
        inside = {name: results[name][:length, i : i + 1] for name in ("hs", "dx")}
        inside |= {name: results[name][i : i + 1] for name in ("h_last", "dh0")}
        assert_same(inside, alone)
        totals = [total + alone[f"d{name}"] for total, name in zip(totals, WEIGHTS, strict=True)]
    assert_same({f"d{name}": total for name, total in zip(WEIGHTS, totals, strict=True)}, results, 1e-11)


def test_reverse_reads_each_sequence_from_its_last_valid_step():
    batch = make(6, 3, 2, 4, [6, 2, 4], reverse=True)
    x = np.full(batch.x.shape, np.nan)
    for i, length in enumerate(batch.lengths):
        x[:length, i] = batch.x[:length, i][::-1]
    hs, h_last, _ = batch.forward()
    hs_turned, h_last_turned, _ = batch.forward(x=x, options={"reverse": False})
    assert np.array_equal(h_last, h_last_turned)
    for i, length in enumerate(batch.lengths):
        assert np.array_equal(hs[:length, i], hs_turned[:length, i][::-1])


@pytest.mark.parametrize("method", [complex_step, central_difference])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize(("lengths", "reverse"), [(None, False), (None, True), ([4, 0, 2], False), ([1, 5, 3], True)])
def test_every_gradient_agrees_with_its_loss(method, nonlinearity, lengths, reverse):
    batch = make(5, 3, 2, 4, lengths, reverse, nonlinearity)
    results = batch.run()

    def loss(**changes):
        hs, h_last, _ = batch.forward(**changes)
        return (hs * batch.dhs).sum() + (h_last * batch.dh_last).sum()

    def with_weight(k, w):
        return [w if j == k else other for j, other in enumerate(batch.weights)]

    tolerance = 1e-13 if method is complex_step else 1e-8
    losses = {"dx": (lambda v: loss(x=v), batch.x), "dh0": (lambda v: loss(h0=v), batch.h0)}
    for k, name in enumerate(WEIGHTS):
        losses[f"d{name}"] = (lambda v, k=k: loss(weights=with_weight(k, v)), batch.weights[k])
    for name, (f, value) in losses.items():
        report = check_gradient(f, value, results[name], method=method, tolerance=tolerance)
        assert report.ok, f"{name}: {report}"


def test_a_step_s_gradients_agree_with_its_loss():
    batch = make(1, 3, 2, 4)
    x, dh = batch.x[0], batch.dh_last
    gradients = rnn.step_backward(dh, rnn.step_forward(x, batch.h0, *batch.weights)[1])
    arguments = [x, batch.h0, *batch.weights]
    for k, gradient in enumerate(gradients):

        def loss(v, k=k):
            return (dh * rnn.step_forward(*arguments[:k], v, *arguments[k + 1 :])[0]).sum()

        assert check_gradient(loss, arguments[k], gradient, tolerance=1e-14).ok, gradients._fields[k]


@STEADY
@given(batches())
def test_no_upstream_gradient_means_zeros(batch):
    _, _, cache = batch.forward()
    zeros = rnn.backward(np.zeros_like(batch.dhs), np.zeros_like(batch.dh_last), cache)
    for one, other in zip(rnn.backward(None, None, cache), zeros, strict=True):
        assert np.array_equal(one, other)
    assert not any(gradient.any() for gradient in zeros)
    half = rnn.backward(batch.dhs, None, cache)
    rest = rnn.backward(None, batch.dh_last, cache)
    whole = rnn.backward(batch.dhs, batch.dh_last, cache)
    assert_same({n: a + b for n, a, b in zip(half._fields, half, rest, strict=True)}, whole._asdict(), 1e-10)


@pytest.mark.parametrize("lengths", [None, [4, 0, 7]])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_float32_stays_float32(lengths, nonlinearity):
    results = make(7, 3, 2, 4, lengths, nonlinearity=nonlinearity, dtype=np.float32).run()
    assert {array.dtype for array in results.values()} == {np.dtype(np.float32)}
    exact = make(7, 3, 2, 4, lengths, nonlinearity=nonlinearity).run()
    assert_same(results, exact, 1e-5)


@STEADY
@given(batches())
def test_memory_layout_does_not_matter(batch):
    def strided(a):
        wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan)
        wide[..., ::2] = a
        return wide[..., ::2]

    def turned(a):
        return np.asfortranarray(a)

    for move in (strided, turned):
        arrays = {name: move(getattr(batch, name)) for name in ("x", "h0", "dhs", "dh_last")}
        moved = batch.run(**arrays, weights=[move(w) for w in batch.weights])
        assert_same(moved, batch.run())


@STEADY
@given(batches())
def test_nothing_that_comes_in_is_changed_and_backward_can_be_called_twice(batch):
    inputs = [batch.x, batch.h0, *batch.weights, batch.dhs, batch.dh_last]
    before = [a.copy() for a in inputs]
    _, _, cache = batch.forward()
    first = rnn.backward(batch.dhs, batch.dh_last, cache)
    second = rnn.backward(batch.dhs, batch.dh_last, cache)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_what_comes_out_shares_no_memory_that_could_be_spoiled():
    batch = make(4, 2, 3, 3)
    hs, h_last, cache = batch.forward()
    with pytest.raises(ValueError, match="read-only"):
        hs += 1
    expected = rnn.backward(batch.dhs, batch.dh_last, cache)
    h_last += 1
    gradients = rnn.backward(batch.dhs, batch.dh_last, cache)
    assert np.array_equal(gradients.dW_hh, expected.dW_hh)
    gradients.db_ih[:] = 7
    assert np.array_equal(gradients.db_hh, expected.db_hh)


def test_the_kink_of_relu_has_slope_zero():
    x, h0, W, b = np.zeros((1, 1, 1)), np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1)
    _, _, cache = rnn.forward(x, h0, W, W, b, b, nonlinearity="relu")
    assert not any(gradient.any() for gradient in rnn.backward(np.ones((1, 1, 1)), None, cache))


BATCH = make(5, 3, 2, 4)
X, H0, (W_IH, W_HH, B_IH, B_HH) = BATCH.x, BATCH.h0, BATCH.weights


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"x": X.swapaxes(0, 1)}, ValueError, r"x has shape \(3, 5, 2\).*time-major.*x\.swapaxes\(0, 1\)"),
        ({"x": X[:, 0]}, ValueError, r"x has shape \(5, 2\): expected \(T, N, D\)"),
        ({"x": X[:0]}, ValueError, "at least one step"),
        ({"x": X[:, :, :1]}, ValueError, r"W_ih has shape \(4, 2\): expected \(4, 1\)"),
        ({"x": X.astype(int)}, TypeError, r"x has dtype int64.*x\.astype\(np\.float64\).*token ids"),
        ({"x": X.astype(np.float32)}, TypeError, "several precisions.*x float32.*h0 float64"),
        ({"x": X.tolist()}, TypeError, r"x is a list: expected a NumPy array"),
        ({"h0": H0[:2]}, ValueError, r"h0 has shape \(2, 4\): expected \(3, 4\)"),
        ({"h0": H0[0]}, ValueError, r"h0 has shape \(4,\): expected \(3, 4\)"),
        ({"W_ih": W_IH.T}, ValueError, r"W_ih has shape \(2, 4\): expected \(4, 2\).*torch's"),
        ({"W_hh": W_HH[:3]}, ValueError, r"W_hh has shape \(3, 4\): expected \(4, 4\)"),
        ({"b_ih": B_IH[:, None]}, ValueError, r"b_ih has shape \(4, 1\): expected \(4,\).*flat"),
        ({"lengths": [5, 6, 1]}, ValueError, "lengths run from 1 to 6: each must lie in 0 to T = 5"),
        ({"lengths": [5, -1, 1]}, ValueError, "lengths run from -1 to 5"),
        ({"lengths": [5, 1]}, ValueError, r"lengths has shape \(2,\): expected \(3,\)"),
        ({"lengths": [5.0, 1.0, 1.0]}, TypeError, r"lengths has dtype float64.*mask\.sum\(axis=0\)"),
        ({"lengths": [True, True, False]}, TypeError, "lengths has dtype bool"),
        ({"nonlinearity": "sigmoid"}, ValueError, "nonlinearity is 'sigmoid': expected 'tanh' or 'relu'"),
    ],
)
def test_a_wrong_argument_is_explained(arguments, error, says):
    right = {"x": X, "h0": H0, "W_ih": W_IH, "W_hh": W_HH, "b_ih": B_IH, "b_hh": B_HH}
    with pytest.raises(error, match=says):
        rnn.forward(**{**right, **arguments})


def test_a_wrong_upstream_gradient_is_explained():
    _, _, cache = BATCH.forward()
    with pytest.raises(ValueError, match=r"dhs has shape \(3, 4\): expected \(5, 3, 4\)"):
        rnn.backward(BATCH.dh_last, None, cache)
    with pytest.raises(ValueError, match=r"dh_last has shape \(5, 3, 4\): expected \(3, 4\)"):
        rnn.backward(None, BATCH.dhs, cache)
    with pytest.raises(TypeError, match="several precisions"):
        rnn.backward(BATCH.dhs.astype(np.float32), None, cache)
