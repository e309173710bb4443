"""Every cell, without torch: the fast form is the scan of its steps, and padding, dtypes and memory behave."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.cells import gru, gru_before, lstm, rnn
from rnnlib.gradcheck import central_difference, check_gradient, complex_step

STEADY = settings(deadline=None, max_examples=120, derandomize=True)
WEIGHTS = "W_ih", "W_hh", "b_ih", "b_hh"
CELLS = {
    "rnn tanh": (rnn, {}),
    "rnn relu": (rnn, {"nonlinearity": "relu"}),
    "gru": (gru, {}),
    "gru before": (gru_before, {}),
    "lstm": (lstm, {}),
}
EVERY_CELL = pytest.mark.parametrize("kind", CELLS)


class Batch(NamedTuple):
    kind: str
    x: np.ndarray
    states: list[np.ndarray]
    weights: list[np.ndarray]
    lengths: np.ndarray | None
    reverse: bool
    dhs: np.ndarray
    dlast: list[np.ndarray]

    @property
    def cell(self):
        return CELLS[self.kind][0]

    def forward(self, **changes):
        new = self._replace(**changes)
        options = {"reverse": new.reverse, **CELLS[new.kind][1]}
        hs, *last, cache = new.cell.forward(new.x, *new.states, *new.weights, new.lengths, **options)
        return hs, last, cache

    def backward(self, cache):
        return self.cell.backward(self.dhs, *self.dlast, cache)

    def run(self, **changes):
        """Everything that comes out, forward and backward."""
        new = self._replace(**changes)
        hs, last, cache = new.forward()
        return {"hs": hs, **named(last, "{}_last"), **new.backward(cache)._asdict()}

    def padding(self):
        return np.arange(len(self.x))[:, None] >= (len(self.x) if self.lengths is None else self.lengths)


def named(states, pattern):
    return {pattern.format(name): state for name, state in zip("hc", states, strict=False)}


def make(kind, T, N, D, H, lengths=None, reverse=False, seed=0, dtype=np.float64):
    rng, cell = np.random.default_rng(seed), CELLS[kind][0]
    rows, states = cell.GATES * H, 2 if cell is lstm else 1

    def normal(*shape):
        return rng.standard_normal(shape).astype(dtype)

    weights = [normal(rows, D), normal(rows, H) / np.sqrt(H).astype(dtype), normal(rows), normal(rows)]
    lengths = None if lengths is None else np.asarray(lengths)
    h0, dlast = ([normal(N, H) for _ in range(states)] for _ in range(2))
    return Batch(kind, normal(T, N, D), h0, weights, lengths, reverse, normal(T, N, H), dlast)


@st.composite
def batches(draw, padded=None):
    T, N, D, H = (draw(st.integers(1, most)) for most in (9, 5, 4, 5))
    ragged = draw(st.booleans()) if padded is None else padded
    lengths = draw(st.lists(st.integers(0, T), min_size=N, max_size=N)) if ragged else None
    return make(draw(st.sampled_from(list(CELLS))), T, N, D, H, lengths, draw(st.booleans()), draw(st.integers(0, 999)))


def scan(batch):
    """The specification: step by step over the whole padded batch, holding the states on padding."""
    T, cell, options = len(batch.x), batch.cell, CELLS[batch.kind][1]
    padding = batch.padding()[:, :, None]
    x = np.where(padding, 0, batch.x)
    steps = list(range(T))[::-1] if batch.reverse else list(range(T))
    states, hs, caches = batch.states, np.zeros(batch.dhs.shape), {}
    for t in steps:
        *after, caches[t] = cell.step_forward(x[t], *states, *batch.weights, **options)
        states = [np.where(padding[t], old, new) for old, new in zip(states, after, strict=True)]
        hs[t] = np.where(padding[t], 0, after[0])
    d_states, dx, dweights = batch.dlast, np.zeros(x.shape), [np.zeros(w.shape) for w in batch.weights]
    for t in steps[::-1]:
        upstream = [d_states[0] + batch.dhs[t], *d_states[1:]]
        dx[t], *rest = cell.step_backward(*(np.where(padding[t], 0, d) for d in upstream), caches[t])
        d_states = [np.where(padding[t], d, new) for d, new in zip(d_states, rest, strict=False)]
        dweights = [a + b for a, b in zip(dweights, rest[len(d_states) :], strict=True)]
    gradients = {**named(d_states, "d{}0"), **{f"d{name}": d for name, d in zip(WEIGHTS, dweights, strict=True)}}
    return {"hs": hs, **named(states, "{}_last"), "dx": dx, **gradients}


def assert_same(one, other, tolerance=1e-12):
    assert one.keys() == other.keys()
    for name in one:
        scale = max(1e-300, np.abs(other[name]).max(initial=0))
        assert np.abs(one[name] - other[name]).max(initial=0) <= tolerance * scale, name


@STEADY
@given(batches())
def test_the_fast_form_is_the_scan_of_steps(batch):
    assert_same(batch.run(), scan(batch))


@EVERY_CELL
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize(("T", "N"), [(1200, 1), (70, 40), (3, 600)])
def test_the_fast_form_is_the_scan_of_steps_over_many_blocks(kind, T, N, ragged, reverse):
    lengths = np.random.default_rng(1).integers(0, T + 1, N) if ragged else None
    batch = make(kind, T, N, 3, 4, lengths, reverse)
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
    ends, starts = named(batch.dlast, "{}_last"), named(batch.states, "d{}0")
    for i, length in enumerate(batch.lengths):
        if length == 0:
            assert all(np.array_equal(results[name][i], batch.states[k][i]) for k, name in enumerate(ends))
            assert all(np.array_equal(results[name][i], batch.dlast[k][i]) for k, name in enumerate(starts))
            continue
        rows = {name: [a[i : i + 1] for a in getattr(batch, name)] for name in ("states", "dlast")}
        alone = batch.run(x=batch.x[:length, i : i + 1], dhs=batch.dhs[:length, i : i + 1], lengths=None, **rows)
        inside = {name: results[name][:length, i : i + 1] for name in ("hs", "dx")}
        inside |= {name: results[name][i : i + 1] for name in (*ends, *starts)}
        assert_same(inside, {name: alone[name] for name in inside})
        totals = [total + alone[f"d{name}"] for total, name in zip(totals, WEIGHTS, strict=True)]
    sums = {f"d{name}": total for name, total in zip(WEIGHTS, totals, strict=True)}
    assert_same(sums, {name: results[name] for name in sums}, 1e-11)


@EVERY_CELL
def test_reverse_reads_each_sequence_from_its_last_valid_step(kind):
    batch = make(kind, 6, 3, 2, 4, [6, 2, 4], reverse=True)
    x = np.full(batch.x.shape, np.nan)
    for i, length in enumerate(batch.lengths):
        x[:length, i] = batch.x[:length, i][::-1]
    hs, last, _ = batch.forward()
    hs_turned, last_turned, _ = batch.forward(x=x, reverse=False)
    assert all(np.array_equal(a, b) for a, b in zip(last, last_turned, strict=True))
    for i, length in enumerate(batch.lengths):
        assert np.array_equal(hs[:length, i], hs_turned[:length, i][::-1])


def changed(arrays, k, value):
    return [value if j == k else other for j, other in enumerate(arrays)]


@EVERY_CELL
@pytest.mark.parametrize("method", [complex_step, central_difference])
@pytest.mark.parametrize(("lengths", "reverse"), [(None, False), (None, True), ([4, 0, 2], False), ([1, 5, 3], True)])
def test_every_gradient_agrees_with_its_loss(kind, method, lengths, reverse):
    batch = make(kind, 5, 3, 2, 4, lengths, reverse)
    results = batch.run()

    def loss(**changes):
        hs, last, _ = batch.forward(**changes)
        return (hs * batch.dhs).sum() + sum((a * b).sum() for a, b in zip(last, batch.dlast, strict=True))

    tolerance = 1e-13 if method is complex_step else 1e-8
    losses = {"dx": (lambda v: loss(x=v), batch.x)}
    for k, name in enumerate(named(batch.states, "d{}0")):
        losses[name] = (lambda v, k=k: loss(states=changed(batch.states, k, v)), batch.states[k])
    for k, name in enumerate(WEIGHTS):
        losses[f"d{name}"] = (lambda v, k=k: loss(weights=changed(batch.weights, k, v)), batch.weights[k])
    assert losses.keys() == batch.backward(batch.forward()[2])._asdict().keys()
    for name, (f, value) in losses.items():
        report = check_gradient(f, value, results[name], method=method, tolerance=tolerance)
        assert report.ok, f"{name}: {report}"


@EVERY_CELL
def test_a_step_s_gradients_agree_with_its_loss(kind):
    batch, options = make(kind, 1, 3, 2, 4), CELLS[kind][1]
    arguments = [batch.x[0], *batch.states, *batch.weights]
    *_, cache = batch.cell.step_forward(*arguments, **options)
    for k, gradient in enumerate(batch.cell.step_backward(*batch.dlast, cache)):

        def loss(v, k=k):
            *after, _ = batch.cell.step_forward(*changed(arguments, k, v), **options)
            return sum((a * b).sum() for a, b in zip(after, batch.dlast, strict=True))

        assert check_gradient(loss, arguments[k], gradient, tolerance=1e-14).ok, k


@STEADY
@given(batches())
def test_no_upstream_gradient_means_zeros(batch):
    _, last, cache = batch.forward()
    nothing = [None] * len(last)
    zeros = batch.cell.backward(np.zeros_like(batch.dhs), *(np.zeros_like(d) for d in batch.dlast), cache)
    for one, other in zip(batch.cell.backward(None, *nothing, cache), zeros, strict=True):
        assert np.array_equal(one, other)
    assert not any(gradient.any() for gradient in zeros)
    parts = [batch.cell.backward(batch.dhs, *nothing, cache)]
    parts += [batch.cell.backward(None, *changed(nothing, k, d), cache) for k, d in enumerate(batch.dlast)]
    sums = dict(zip(zeros._fields, (sum(part) for part in zip(*parts, strict=True)), strict=True))
    assert_same(sums, batch.backward(cache)._asdict(), 1e-10)


@EVERY_CELL
@pytest.mark.parametrize("lengths", [None, [4, 0, 7]])
def test_float32_stays_float32(kind, lengths):
    results = make(kind, 7, 3, 2, 4, lengths, dtype=np.float32).run()
    assert {array.dtype for array in results.values()} == {np.dtype(np.float32)}
    assert_same(results, make(kind, 7, 3, 2, 4, lengths).run(), 1e-5)


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
        arrays = {name: [move(a) for a in getattr(batch, name)] for name in ("states", "weights", "dlast")}
        assert_same(batch.run(x=move(batch.x), dhs=move(batch.dhs), **arrays), batch.run())


@STEADY
@given(batches())
def test_nothing_that_comes_in_is_changed_and_backward_can_be_called_twice(batch):
    inputs = [batch.x, *batch.states, *batch.weights, batch.dhs, *batch.dlast]
    before = [a.copy() for a in inputs]
    _, _, cache = batch.forward()
    first, second = batch.backward(cache), batch.backward(cache)
    assert all(np.array_equal(a, b) for a, b in zip(inputs, before, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@EVERY_CELL
def test_what_comes_out_shares_no_memory_that_could_be_spoiled(kind):
    batch = make(kind, 4, 2, 3, 3)
    hs, last, cache = batch.forward()
    with pytest.raises(ValueError, match="read-only"):
        hs += 1
    expected = batch.backward(cache)
    for state in last:
        state += 1
    gradients = batch.backward(cache)
    assert np.array_equal(gradients.dW_hh, expected.dW_hh)
    gradients.db_ih[:] = 7
    assert np.array_equal(gradients.db_hh, expected.db_hh)


def test_a_gru_s_two_conventions_are_different_functions_of_the_same_weights():
    batch = make("gru", 5, 2, 3, 4)
    after, before = batch.run(), batch.run(kind="gru before")
    assert all(np.abs(after[name] - before[name]).max() > 1e-3 for name in after)


def test_a_gru_that_never_resets_is_the_same_in_both_conventions():
    batch = make("gru", 5, 2, 3, 4)
    batch.weights[2][:4] = 50  # r = 1
    batch.weights[3][8:] = 0  # both add b_hn inside r's reach or outside it
    assert_same({"hs": batch.forward()[0]}, {"hs": batch.forward(kind="gru before")[0]})


def test_an_lstm_whose_gates_hold_keeps_its_cell_state_and_its_gradient():
    batch = make("lstm", 30, 2, 3, 4)
    batch.weights[2][:4], batch.weights[2][4:8] = -60, 60  # i = 0, f = 1
    _, (_, c_last), cache = batch.forward()
    np.testing.assert_allclose(c_last, batch.states[1], rtol=1e-12)
    gradients = lstm.backward(None, None, batch.dlast[1], cache)
    np.testing.assert_allclose(gradients.dc0, batch.dlast[1], rtol=1e-12)  # the constant error carousel


def test_the_kink_of_relu_has_slope_zero():
    x, h0, W, b = np.zeros((1, 1, 1)), np.zeros((1, 1)), np.ones((1, 1)), np.zeros(1)
    _, _, cache = rnn.forward(x, h0, W, W, b, b, nonlinearity="relu")
    assert not any(gradient.any() for gradient in rnn.backward(np.ones((1, 1, 1)), None, cache))


BATCH = make("rnn tanh", 5, 3, 2, 4)
X, (H0,), (W_IH, W_HH, B_IH, B_HH) = BATCH.x, BATCH.states, BATCH.weights


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


@EVERY_CELL
def test_a_wrong_stack_of_gates_is_explained(kind):
    batch = make(kind, 5, 3, 2, 4)
    rows = 4 * batch.cell.GATES
    too_many = [np.concatenate([w, w]) for w in batch.weights]
    with pytest.raises(ValueError, match=rf"W_ih has shape \({2 * rows}, 2\): expected \({rows}, 2\)"):
        batch.forward(weights=too_many)
    with pytest.raises(ValueError, match=r"h0 has shape \(3, 5\): expected \(3, 4\)"):
        batch.forward(states=[np.zeros((3, 5)) for _ in batch.states])


@EVERY_CELL
def test_a_wrong_upstream_gradient_is_explained(kind):
    batch = make(kind, 5, 3, 2, 4)
    _, last, cache = batch.forward()
    nothing = [None] * len(last)
    with pytest.raises(ValueError, match=r"dhs has shape \(3, 4\): expected \(5, 3, 4\)"):
        batch.cell.backward(batch.dlast[0], *nothing, cache)
    with pytest.raises(ValueError, match=r"dh_last has shape \(5, 3, 4\): expected \(3, 4\)"):
        batch.cell.backward(None, *changed(nothing, 0, batch.dhs), cache)
    with pytest.raises(TypeError, match="several precisions"):
        batch.cell.backward(batch.dhs.astype(np.float32), *nothing, cache)
