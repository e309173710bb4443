"""Problem set 2: right answers get full marks however they are written, slips are paid for once, examples are true."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograder.check import check
from autograder.questions import find, questions_of
from rnnlib.cells import rnn
from rnnlib.gradcheck import central_difference
from tests.conftest import ROOT
from tests.grading.habits import in_float32, noisy
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps2_bptt/ps2_bptt.ipynb"
RELEASED = ROOT / "autograder/course/release/ps2_bptt/ps2_bptt.ipynb"
PAIRS = {"rnn_step_backward": ("rnn_step", "rnn_step_backward"), "rnn_backward": ("rnn_forward", "rnn_backward")}


# ---- one step, in many hands ---------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    dx: Any
    dh: Any
    dW_ih: Any
    dW_hh: Any
    db_ih: Any
    db_hh: Any


def step(x, h, W_ih, W_hh, b_ih, b_hh):
    h_next = np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
    return h_next, (x, h, W_ih, W_hh, h_next)


def step_backward(dh_next, cache):
    x, h, W_ih, W_hh, h_next = cache
    da = dh_next * (1 - h_next**2)
    return da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)


def kept(keep, unpack):
    """The pair with another cache: `keep` makes it of five arrays, `unpack` takes them out."""

    def forward(*inputs):
        h_next, cache = step(*inputs)
        return h_next, keep(cache)

    return forward, lambda dh_next, cache: step_backward(dh_next, unpack(cache))


def given_back(change):
    """The pair with its gradients in another form."""
    return step, lambda dh_next, cache: change(step_backward(dh_next, cache))


def einsum_backward(dh_next, cache):
    x, h, W_ih, W_hh, h_next = cache
    da = np.einsum("nh,nh->nh", dh_next, 1 - np.square(h_next))
    db = np.einsum("nh->h", da)
    weights = np.einsum("nh,nd->hd", da, x), np.einsum("nh,nk->hk", da, h)
    return np.einsum("nh,hd->nd", da, W_ih), np.einsum("nh,hk->nk", da, W_hh), *weights, db, db


def by_row(x, h, W_ih, W_hh, b_ih, b_hh):
    rows = []
    for n in range(len(x)):
        rows.append(np.tanh(W_ih @ x[n] + W_hh @ h[n] + b_ih + b_hh))
    return rows, [x, h, W_ih, W_hh, rows]


def by_row_backward(dh_next, cache):
    x, h, W_ih, W_hh, rows = cache
    dx, dh = [], []
    dW_ih, dW_hh, db = np.zeros(W_ih.shape), np.zeros(W_hh.shape), np.zeros(len(W_hh))
    for n, row in enumerate(rows):
        da = (1 - row * row) * dh_next[n]
        dx.append(W_ih.T @ da)
        dh.append(W_hh.T @ da)
        dW_ih += np.outer(da, x[n])
        dW_hh += np.outer(da, h[n])
        db += da
    return dx, dh, dW_ih, dW_hh, db, db.copy()


def recomputing_backward(dh_next, cache):
    x, h, W_ih, W_hh, b_ih, b_hh = cache
    a = x @ W_ih.T + h @ W_hh.T + b_ih + b_hh
    da = dh_next / np.cosh(a) ** 2
    ones = np.ones(len(x))
    return da @ W_ih, da @ W_hh, (x.T @ da).T, (h.T @ da).T, ones @ da, ones @ da


def greedy_backward(dh_next, cache):
    x, h, W_ih, W_hh, h_next = cache
    h_next *= h_next
    np.subtract(1, h_next, out=h_next)
    dh_next *= h_next
    da = dh_next
    return da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(0), da.sum(0)


def closing_over(x, h, W_ih, W_hh, b_ih, b_hh):
    h_next, cache = step(x, h, W_ih, W_hh, b_ih, b_hh)
    return h_next, lambda dh_next: step_backward(dh_next, cache)


NAMES = ("x", "h", "W_ih", "W_hh", "h_next")
STEPS = {
    "plain": (step, step_backward),
    "einsum": (step, einsum_backward),
    "rows in lists": (by_row, by_row_backward),
    "float32": (in_float32(step), in_float32(step_backward)),
    "a dictionary for a cache": kept(lambda c: dict(zip(NAMES, c, strict=True)), lambda d: [d[n] for n in NAMES]),
    "an object for a cache": kept(
        lambda c: SimpleNamespace(**dict(zip(NAMES, c, strict=True))), lambda o: [getattr(o, n) for n in NAMES]
    ),
    "a function for a cache": (closing_over, lambda dh_next, cache: cache(dh_next)),
    "recomputing": (lambda *inputs: (step(*inputs)[0], inputs), recomputing_backward),
    "a named tuple": given_back(lambda gradients: Gradients(*gradients)),
    "nested lists": given_back(lambda gradients: [gradient.tolist() for gradient in gradients]),
    "Fortran order": given_back(lambda gradients: [np.asfortranarray(gradient) for gradient in gradients]),
    "prints and warnings": (step, noisy(step_backward)),
    "in place, inputs spoilt": (step, greedy_backward),
}


# ---- the way back through time, in many hands ----------------------------------------------------------------------


def with_steps(forward_step, backward_step):
    """A sequence made of a learner's own steps."""

    def forward(x, h0, *weights):
        h, hs, caches = h0, [], []
        for x_t in x:
            h, cache = forward_step(x_t, h, *weights)
            hs.append(h)
            caches.append(cache)
        return np.stack(hs), h, caches

    def backward(dhs, dh_last, caches):
        dh, dxs, sums = dh_last, [], [0, 0, 0, 0]
        for t in reversed(range(len(dhs))):
            dx, dh, *parts = backward_step(dhs[t] + dh, caches[t])
            dxs.insert(0, dx)
            sums = [total + part for total, part in zip(sums, parts, strict=True)]
        return dxs, dh, *sums

    return forward, backward


def whole(x, h0, W_ih, W_hh, b_ih, b_hh):
    hs = np.zeros((len(x) + 1, *h0.shape))
    hs[0] = h0
    for t in range(len(x)):
        hs[t + 1] = np.tanh(x[t] @ W_ih.T + b_ih + hs[t] @ W_hh.T + b_hh)
    return hs[1:], hs[-1], {"x": x, "hs": hs, "W": (W_ih, W_hh)}


def whole_backward(dhs, dh_last, cache):
    x, hs, (W_ih, W_hh) = cache["x"], cache["hs"], cache["W"]
    das, dh = np.zeros(dhs.shape), dh_last.copy()
    for t in range(len(x) - 1, -1, -1):
        dh += dhs[t]
        das[t] = dh * (1 - hs[t + 1] ** 2)
        dh = das[t] @ W_hh
    dW_ih, dW_hh = np.einsum("tnh,tnd->hd", das, x), np.einsum("tnh,tnk->hk", das, hs[:-1])
    return das @ W_ih, dh, dW_ih, dW_hh, das.sum((0, 1)), das.sum((0, 1))


def into_dhs(dhs, dh_last, cache):
    """Carries the gradient inside the array that came in."""
    x, hs, (W_ih, W_hh) = cache["x"], cache["hs"], cache["W"]
    dhs[-1] += dh_last
    dx, dW_ih, dW_hh, db = np.empty_like(x), 0 * W_ih, 0 * W_hh, 0 * W_hh[0]
    for t in range(len(x) - 1, -1, -1):
        da = dhs[t] * (1 - hs[t + 1] ** 2)
        dx[t] = da @ W_ih
        dW_ih, dW_hh, db = dW_ih + da.T @ x[t], dW_hh + da.T @ hs[t], db + da.sum(0)
        if t:
            dhs[t - 1] += da @ W_hh
    return dx, da @ W_hh, dW_ih, dW_hh, db, db


def recomputing_time(dhs, dh_last, inputs):
    return whole_backward(dhs, dh_last, whole(*inputs)[2])


def sequence_by_sequence(dhs, dh_last, inputs):
    x, h0, *weights = inputs
    dxs, dh0s, sums = [], [], None
    for n in range(len(h0)):
        one = slice(n, n + 1)
        _, _, cache = whole(x[:, one], h0[one], *weights)
        dx, dh0, *parts = whole_backward(dhs[:, one], dh_last[one], cache)
        dxs.append(dx[:, 0])
        dh0s.append(dh0[0])
        sums = parts if sums is None else [a + b for a, b in zip(sums, parts, strict=True)]
    return np.stack(dxs, axis=1), dh0s, *sums


def recursive(dhs, dh_last, caches):
    if not caches:
        return [], dh_last, 0, 0, 0, 0
    dx, dh, *last = step_backward(dhs[-1] + dh_last, caches[-1])
    dxs, dh0, *before = recursive(dhs[:-1], dh, caches[:-1])
    return [*dxs, dx], dh0, *(a + b for a, b in zip(last, before, strict=True))


def inputs_kept(*inputs):
    hs, h_last, _ = whole(*inputs)
    return hs, h_last, inputs


TIMES = {
    "its own steps": with_steps(step, step_backward),
    "its own steps by row": with_steps(by_row, by_row_backward),
    "its own steps, objects for caches": with_steps(*STEPS["an object for a cache"]),
    "whole arrays, einsum": (whole, whole_backward),
    "float32": tuple(map(in_float32, with_steps(step, step_backward))),
    "inside dhs": (whole, into_dhs),
    "recomputing": (inputs_kept, recomputing_time),
    "sequence by sequence": (inputs_kept, sequence_by_sequence),
    "recursion": (with_steps(step, step_backward)[0], recursive),
    "a named tuple": (whole, lambda *given: Gradients(*whole_backward(*given))),
    "nested lists": (whole, lambda *given: [gradient.tolist() for gradient in whole_backward(*given)]),
    "a list of outputs": (lambda *inputs: list(whole(*inputs)), whole_backward),
    "prints and warnings": with_steps(step, noisy(step_backward)),
}


def windows(forward, backward, whole_number=int):
    """Truncated BPTT by a pair for whole sequences."""

    def truncated(x, h0, W_ih, W_hh, b_ih, b_hh, dhs, k):
        k, h, sums = whole_number(k), h0, [0, 0, 0]
        for start in range(0, len(x), k):
            _, h, cache = forward(x[start : start + k], h, W_ih, W_hh, b_ih, b_hh)
            _, _, *parts = backward(dhs[start : start + k].copy(), np.zeros_like(h), cache)
            sums = [total + part for total, part in zip(sums, parts, strict=False)]
        return sums

    return truncated


def cut_in_one_loop(x, h0, W_ih, W_hh, b_ih, b_hh, dhs, k):
    _, _, cache = whole(x, h0, W_ih, W_hh, b_ih, b_hh)
    hs, dh = cache["hs"], np.zeros(h0.shape)
    dW_ih, dW_hh, db = np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros_like(b_ih)
    for t in reversed(range(len(x))):
        if (t + 1) % k == 0:
            dh[:] = 0
        da = (dhs[t] + dh) * (1 - hs[t + 1] ** 2)
        dW_ih += da.T @ x[t]
        dW_hh += da.T @ hs[t]
        db += da.sum(axis=0)
        dh[...] = da @ W_hh
    return dW_ih, dW_hh, db


class Truncated(NamedTuple):
    dW_ih: np.ndarray
    dW_hh: np.ndarray
    db: np.ndarray


TRUNCATED = {
    "its own pair": windows(*TIMES["its own steps"]),
    "k as it comes": windows(*TIMES["whole arrays, einsum"], whole_number=lambda k: k),
    "one loop": cut_in_one_loop,
    "recomputing": windows(*TIMES["recomputing"]),
    "sequence by sequence": windows(*TIMES["sequence by sequence"]),
    "float32": windows(*TIMES["float32"]),
    "inside dhs": windows(*TIMES["inside dhs"]),
    "a named tuple": lambda *inputs: Truncated(*cut_in_one_loop(*inputs)),
    "nested lists": lambda *inputs: [gradient.tolist() for gradient in cut_in_one_loop(*inputs)],
    "prints and warnings": windows(*TIMES["prints and warnings"]),
}


# ---- numerical gradients -------------------------------------------------------------------------------------------


def copies(f, x, h):
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[i] += h
        below[i] -= h
        gradient[i] = (f(above) - f(below)) / (2 * h)
    return gradient


def moved_and_put_back(f, x, h):
    gradient = np.zeros_like(x)
    walk = np.nditer(x, flags=["multi_index"], op_flags=["readwrite"])
    while not walk.finished:
        i = walk.multi_index
        old = x[i]
        x[i] = old + h
        above = f(x)
        x[i] = old - h
        below = f(x)
        x[i] = old
        gradient[i] = (above - below) / 2 / h
        walk.iternext()
    return gradient


def one_hot(f, x, h):
    moves = h * np.eye(x.size).reshape(-1, *x.shape)
    return np.array([(f(x + move) - f(x - move)) / (2 * h) for move in moves]).reshape(x.shape)


def through_flat(f, x, h):
    gradient = np.empty(x.shape)
    for i in range(x.size):
        x.flat[i] += h
        above = f(x)
        x.flat[i] -= 2 * h
        gradient.flat[i] = (above - f(x)) / (2 * h)
        x.flat[i] += h
    return gradient


def recursive_in_axes(f, x, h):
    if x.ndim == 0:
        return (f(x + h) - f(x - h)) / (2 * h)

    def row(i):
        return lambda part: f(np.concatenate([x[:i], part[None], x[i + 1 :]]))

    return [recursive_in_axes(row(i), x[i], h) for i in range(len(x))]


NUMERICAL = {
    "copies": copies,
    "moved and put back": moved_and_put_back,
    "one-hot moves": one_hot,
    "through flat": through_flat,
    "lists, axis by axis": recursive_in_axes,
    "prints and warnings": noisy(copies),
    "float32": lambda f, x, h: copies(f, x.astype(np.float32), h),
    "the library's": lambda f, x, h: central_difference(f, x, step=h),
}


def asked(numerical_gradient):
    """The function as the locked cell hands it to `check`."""
    return lambda x, A, h: numerical_gradient(lambda v: np.sum(np.sin(A * v)) + np.sum(v) ** 3 / 10, x, float(h))


VARIANTS = [
    *(pytest.param("rnn_step_backward", pair, id=f"step: {how}") for how, pair in STEPS.items()),
    *(pytest.param("rnn_backward", pair, id=f"time: {how}") for how, pair in TIMES.items()),
    *(pytest.param("truncated_bptt", (function,), id=f"truncated: {how}") for how, function in TRUNCATED.items()),
    *(pytest.param("numerical_gradient", (asked(f),), id=f"numerical: {how}") for how, f in NUMERICAL.items()),
]


@pytest.mark.parametrize(("question", "functions"), VARIANTS)
def test_a_correct_solution_gets_full_marks_however_it_is_written(question, functions):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = check(question, *functions)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


# ---- follow-through ------------------------------------------------------------------------------------------------


def untransposed(x, h, W_ih, W_hh, b_ih, b_hh):
    h_next = np.tanh(x @ W_ih.T + b_ih + h @ W_hh + b_hh)
    return h_next, (x, h, W_ih, W_hh, h_next)


def back_of_untransposed(dh_next, cache):
    x, h, W_ih, W_hh, h_next = cache
    da = dh_next * (1 - h_next**2)
    return da @ W_ih, da @ W_hh.T, da.T @ x, h.T @ da, da.sum(axis=0), da.sum(axis=0)


def test_the_right_backward_of_a_wrong_step_keeps_its_points():
    verdict = check("rnn_step_backward", untransposed, back_of_untransposed)
    assert {part.name: part.points for part in verdict.parts} == {
        "dx and dh": 2,
        "dW_ih and dW_hh": 2,
        "db_ih and db_hh": 1,
        "one sequence, one unit": 0,
    }
    assert verdict.diagnosis.bugs == ("recurrent_weights_not_transposed",)


def test_a_backward_that_is_no_gradient_of_the_wrong_step_loses_just_what_is_wrong():
    verdict = check("rnn_step_backward", untransposed, step_backward)
    assert {part.name: part.points for part in verdict.parts} == {
        "dx and dh": 0,
        "dW_ih and dW_hh": 0,
        "db_ih and db_hh": 1,
        "one sequence, one unit": 0,
    }


def without_derivative(dh_next, cache):
    x, h, W_ih, W_hh, _ = cache
    return dh_next @ W_ih, dh_next @ W_hh, dh_next.T @ x, dh_next.T @ h, dh_next.sum(0), dh_next.sum(0)


def over_the_batch(dh_next, cache):
    dx, dh, dW_ih, dW_hh, *db = step_backward(dh_next, cache)
    return dx, dh, dW_ih / len(dx), dW_hh / len(dx), *db


def at_the_old_state(dh_next, cache):
    x, h, W_ih, W_hh, _ = cache
    return step_backward(dh_next, (x, h, W_ih, W_hh, h))


SLIPS = {
    "derivative_forgotten": without_derivative,
    "weights_averaged_over_the_batch": over_the_batch,
    "derivative_of_the_old_state": at_the_old_state,
}


@pytest.mark.parametrize("name", SLIPS)
def test_what_is_built_on_a_wrong_step_back_keeps_its_points(name):
    first = check("rnn_step_backward", step, SLIPS[name])
    assert first.points < first.max_points
    assert first.diagnosis.bugs == (name,)
    forward, backward = with_steps(step, SLIPS[name])
    second = check("rnn_backward", forward, backward)
    assert second.points == second.max_points, str(second)
    assert "Nothing is wrong here but the slip in" in second.diagnosis.text


def test_the_truncated_form_of_a_wrong_step_back_keeps_its_points():
    check("rnn_step_backward", step, without_derivative)
    verdict = check("truncated_bptt", windows(*with_steps(step, without_derivative)))
    assert verdict.points == verdict.max_points, str(verdict)


def test_without_the_earlier_slip_the_same_loop_loses_its_points():
    check("rnn_step_backward", step, step_backward)
    assert check("rnn_backward", *with_steps(step, without_derivative)).points == 0


def test_a_slip_of_the_loop_itself_is_not_followed():
    check("rnn_step_backward", step, without_derivative)
    forward, backward = with_steps(step, without_derivative)
    assert check("rnn_backward", forward, lambda dhs, dh_last, cache: backward(dhs, 0 * dh_last, cache)).points == 0


# ---- the notebooks -------------------------------------------------------------------------------------------------


def test_the_sources_own_solution_gets_full_marks():
    shown = executed(SOURCE)
    for name, question in questions_of("ps2_bptt").items():
        assert float(shown[name]["text/plain"]) == question.points
    assert "Nothing to draw" not in shown["look_at_it"]["text/plain"]
    assert "Dots will appear" not in shown["look_at_it"]["text/plain"]


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps2_bptt"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    assert "Nothing to draw yet" in shown["look_at_it"]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    assert list(graded.items()) == [(name, q.points) for name, q in questions_of("ps2_bptt").items()]
    assert "**Points** | 23" in cells["title"].source
    assert sum(graded.values()) == 23


def test_the_locked_cells_ask_as_the_questions_do(cells):
    for name, pair in PAIRS.items():
        assert cells[name].source == f'check("{name}", {", ".join(pair)})'
        assert find(name).backward.forward == pair[0]
        assert find(name).backward.name == pair[1]
    namespace = {"np": np, "check": check, "numerical_gradient": copies, "truncated_bptt": TRUNCATED["one loop"]}
    for name in ("truncated_bptt", "numerical_gradient"):
        exec(cells[name].source.replace("check(", "verdict = check(", 1), namespace)
        assert namespace["verdict"].points == 4


# ---- worked examples -----------------------------------------------------------------------------------------------


def rows(text):
    """The numbers of each table row that holds any, by the row's first entry."""
    found = {}
    for line in text.splitlines():
        if line.startswith("|") and "---" not in line:
            head, *entries = (entry.strip() for entry in line.strip("|").split("|"))
            found[head] = [number(entry) for entry in entries if re.fullmatch(r"[−\d.]+", entry)]
    return found


def number(text):
    return float(text.replace("−", "-"))


def said(text, name):
    """The number behind "name =" in a sentence."""
    return number(re.search(re.escape(name) + r"(?:\$)? = ([−-]?[\d.]+\d)", text)[1])


def one_unit(x, w, h0=0.0, w_in=1.0, b=0.0):
    column = np.array(x, float).reshape(-1, 1, 1)
    return rnn.forward(
        column, np.full((1, 1), h0), np.full((1, 1), w_in), np.full((1, 1), w), np.full(1, b), np.full(1, b)
    )


def test_the_worked_step_is_true(cells):
    (table,) = re.findall(r"\n\| 0\.9 \|.*", cells["q1"].source)
    values = [number(entry) for entry in re.findall(r"[\d.]+", table)]
    hs, _, cache = one_unit([1.0], 0.6, h0=0.5, w_in=0.4, b=0.1)
    g = rnn.backward(np.full((1, 1, 1), 2.0), None, cache)
    slope = 1 - hs.item() ** 2
    expected = [0.9, hs.item(), slope, 2 * slope, *(v.item() for v in (g.dx, g.dh0, g.dW_ih, g.dW_hh, g.db_ih))]
    np.testing.assert_allclose(values, expected, atol=5.1e-5)


def test_the_worked_way_back_is_true(cells):
    text, dhs = cells["q2"].source, np.array([0.5, 0, 1])
    table = rows(text)
    hs, _, cache = one_unit([1, 0.5, -1], 0.8)
    g = rnn.backward(dhs.reshape(3, 1, 1), None, cache)
    da = g.dx.ravel()  # W_ih is 1
    dh = da / (1 - hs.ravel() ** 2)
    np.testing.assert_allclose(table["$h_t$"], hs.ravel(), atol=5.1e-5)
    np.testing.assert_allclose(table["own output, $dhs_t$"], dhs)
    np.testing.assert_allclose(table["from the next state"], dh - dhs, atol=5.1e-5)
    np.testing.assert_allclose(table["$dh_t$, their sum"], dh, atol=5.1e-5)
    np.testing.assert_allclose(table["$da_t$"], da, atol=5.1e-5)
    for name, value in (("dW_{ih}", g.dW_ih), ("dW_{hh}", g.dW_hh), ("db", g.db_ih), ("dh_0", g.dh0)):
        assert said(text.split("right to left")[1], name) == pytest.approx(value.item(), abs=5.1e-5)


def test_the_worked_truncation_is_true(cells):
    text, dhs = cells["q3"].source, np.array([0, 0, 0, 1.0])
    table, x = rows(text), [1, 0.5, -1, 0]
    _, _, cache = one_unit(x, 0.8)
    full = rnn.backward(dhs.reshape(4, 1, 1), None, cache)
    _, h, _ = one_unit(x[:2], 0.8)
    _, _, cache = one_unit(x[2:], 0.8, h0=h.item())
    cut = rnn.backward(dhs[2:].reshape(2, 1, 1), None, cache)
    np.testing.assert_allclose(table["$da_t$, full BPTT"], full.dx.ravel(), atol=5.1e-5)
    np.testing.assert_allclose(table["$da_t$, truncated"], [0, 0, *cut.dx.ravel()], atol=5.1e-5)
    whole_text, cut_text = text.split("Full,")[1].split("Truncated,")
    for part, g in ((whole_text, full), (cut_text, cut)):
        assert said(part, "dW_{hh}") == pytest.approx(g.dW_hh.item(), abs=5.1e-5)
        assert said(part, "db") == pytest.approx(g.db_ih.item(), abs=5.1e-5)


def test_the_worked_difference_is_true(cells):
    def f(v):
        return v[0] ** 3 + v[0] * v[1]

    table, v = rows(cells["q4"].source), np.array([2.0, 3.0])
    for i, exact in enumerate((15, 2)):
        e = 0.1 * np.eye(2)[i]
        expected = [f(v + e), f(v - e), (f(v + e) - f(v - e)) / 0.2, exact]
        np.testing.assert_allclose(table[str(i)], expected)


# ---- the picture at the end ----------------------------------------------------------------------------------------


def reached(forward, backward, numerical=copies, size=0.9):
    """The line and the dots of the learner's picture, and its caption."""
    from rnnlib.viz.unrolling import reach

    scene = reach.reach(forward, backward, numerical, size)
    line, *dots = scene.panels[0].marks
    return line, dots, scene.alt


@pytest.mark.parametrize("how", ["its own steps", "inside dhs", "a named tuple", "nested lists"])
def test_the_picture_draws_any_right_answer_and_the_dots_lie_on_the_line(how):
    pytest.importorskip("rnnlib.viz")
    line, (dots,), _ = reached(*TIMES[how])
    np.testing.assert_allclose(dots.y, line.y[dots.x.astype(int)], rtol=1e-4)


def test_the_picture_shows_a_wrong_gradient_off_the_dots():
    pytest.importorskip("rnnlib.viz")
    line, (dots,), _ = reached(*with_steps(step, without_derivative))
    assert line.y[30] > 10 * dots.y[-1]


@pytest.mark.parametrize("size", np.round(np.arange(0.1, 1.55, 0.1), 2))
def test_the_picture_draws_at_every_position_of_its_slider(size):
    pytest.importorskip("rnnlib.viz")
    line, _, alt = reached(*TIMES["its own steps"], size=size)
    assert np.isfinite(line.y).all()
    assert line.y[-1] < 0.2
    assert f"Size of W_hh {size:g}" in alt


def test_below_one_no_more_arrives_than_the_size_of_the_weights_lets_through():
    pytest.importorskip("rnnlib.viz")
    for size in (0.5, 0.9, 1.0):
        line, _, _ = reached(*TIMES["its own steps"], size=size)
        assert np.all(line.y[1:] <= size * line.y[:-1] + 1e-12)


def unwritten(*given):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("functions", "says"),
    [
        ((unwritten, unwritten, unwritten), "run this cell again."),
        ((whole, unwritten, copies), "run this cell again."),
        ((whole, lambda *given: None, copies), "It stopped with TypeError"),
        ((whole, lambda *given: [np.zeros(3)] * 6, copies), "It stopped with ValueError"),
        ((whole, lambda *given: [np.full((1, 6), np.nan)] * 6, copies), "not finite"),
        ((whole, whole_backward, unwritten), "Dots will appear when numerical_gradient is written."),
        ((whole, whole_backward, lambda f, x, h: 0.0), "Dots will appear when numerical_gradient is written."),
    ],
)
def test_the_picture_of_unfinished_functions_says_what_to_do_and_stops_nothing(functions, says):
    pytest.importorskip("rnnlib.viz")
    assert says in reached(*functions)[2]
