"""Problem set 4: right answers get full marks however they are written, slips are paid for once, examples are true."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograder.check import check
from autograder.questions import find, questions_of
from rnnlib.cells import lstm
from tests.conftest import ROOT
from tests.grading.habits import in_float32, noisy
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps4_lstm/ps4_lstm.ipynb"
RELEASED = ROOT / "autograder/course/release/ps4_lstm/ps4_lstm.ipynb"
PAIRS = {"lstm_step_backward": ("lstm_step", "lstm_step_backward"), "lstm_backward": ("lstm_forward", "lstm_backward")}
WITHOUT_CACHE = {"lstm_step": 2, "lstm_forward": 3}  # how many outputs a locked cell asks for


def ask(question, forward, backward):
    """`check`, as the locked cells call it."""
    count = WITHOUT_CACHE.get(question)
    return check(question, lambda *inputs: forward(*inputs)[:count]) if count else check(question, forward, backward)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


# ---- one step, in many hands ---------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    dx: Any
    dh: Any
    dc: Any
    dW_ih: Any
    dW_hh: Any
    db_ih: Any
    db_hh: Any


def step(x, h, c, W_ih, W_hh, b_ih, b_hh):
    a_i, a_f, a_g, a_o = np.split(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh, 4, axis=1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c_next = f * c + i * g
    return o * np.tanh(c_next), c_next, (x, h, c, W_ih, W_hh, i, f, g, o, c_next)


def step_backward(dh_next, dc_next, cache):
    x, h, c, W_ih, W_hh, i, f, g, o, c_next = cache
    tanh_c = np.tanh(c_next)
    dc = dc_next + dh_next * o * (1 - tanh_c**2)
    parts = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh_next * tanh_c * o * (1 - o)
    da = np.concatenate(parts, axis=1)
    return da @ W_ih, da @ W_hh, dc * f, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)


def kept(keep, unpack):
    """The pair with another cache: `keep` makes it of ten arrays, `unpack` takes them out."""

    def forward(*inputs):
        *states, cache = step(*inputs)
        return *states, keep(cache)

    return forward, lambda dh_next, dc_next, cache: step_backward(dh_next, dc_next, unpack(cache))


def given_back(change):
    """The pair with its gradients in another form."""
    return step, lambda dh_next, dc_next, cache: change(step_backward(dh_next, dc_next, cache))


def gate_by_gate(x, h, c, W_ih, W_hh, b_ih, b_hh):
    H, gate = h.shape[1], {}
    for k, name in enumerate("ifgo"):
        rows = slice(k * H, (k + 1) * H)
        a = x.dot(W_ih[rows].T) + h.dot(W_hh[rows].T) + (b_ih + b_hh)[rows]
        gate[name] = np.tanh(a) if name == "g" else np.reciprocal(1 + np.exp(-a))
    c_next = gate["f"] * c + gate["i"] * gate["g"]
    return gate["o"] * np.tanh(c_next), c_next, {"x": x, "h": h, "c": c, "W": (W_ih, W_hh), "next": c_next, **gate}


def gate_by_gate_backward(dh_next, dc_next, k):
    W_ih, W_hh = k["W"]
    H, dx, dh = k["h"].shape[1], 0, 0
    dW_ih, dW_hh, db = np.zeros(W_ih.shape), np.zeros(W_hh.shape), np.zeros(len(W_ih))
    through_h = dh_next * k["o"] / np.cosh(k["next"]) ** 2
    dc = through_h + dc_next
    arrives = {"i": dc * k["g"], "f": dc * k["c"], "g": dc * k["i"], "o": dh_next * np.tanh(k["next"])}
    for j, name in enumerate("ifgo"):
        s, rows = k[name], slice(j * H, (j + 1) * H)
        da = arrives[name] * (1 - s * s if name == "g" else s - s * s)
        dx, dh = dx + da @ W_ih[rows], dh + da @ W_hh[rows]
        dW_ih[rows], dW_hh[rows], db[rows] = da.T @ k["x"], da.T @ k["h"], da.sum(0)
    return dx, dh, k["f"] * dc, dW_ih, dW_hh, db, db.copy()


def three_axes(x, h, c, W_ih, W_hh, b_ih, b_hh):
    """σ by tanh of the half, gates on an axis of their own, one product for both weights."""
    both = np.concatenate([x, h], axis=1) @ np.concatenate([W_ih, W_hh], axis=1).T + (b_ih + b_hh)
    a = both.reshape(len(x), 4, -1).swapaxes(0, 1)
    i, f, o = (np.tanh(a[k] / 2) / 2 + 0.5 for k in (0, 1, 3))
    g = np.tanh(a[2])
    c_next = np.add(f * c, i * g)
    return np.tanh(c_next) * o, c_next, (x, h, c, W_ih, W_hh, i, f, g, o, c_next)


def einsum_backward(dh_next, dc_next, cache):
    x, h, c, W_ih, W_hh, i, f, g, o, c_next = cache
    t = np.tanh(c_next)
    dc = dc_next + np.einsum("nh,nh,nh->nh", dh_next, o, 1 - np.square(t))
    gates = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g) * (1 + g), dh_next * t * o * (1 - o)]
    da = np.stack(gates, axis=1)
    W_x, W_h = W_ih.reshape(4, -1, x.shape[1]), W_hh.reshape(4, -1, h.shape[1])
    flat = {"dx": np.einsum("nkh,khd->nd", da, W_x), "dh": np.einsum("nkh,khj->nj", da, W_h)}
    dW_ih = np.einsum("nkh,nd->khd", da, x).reshape(W_ih.shape)
    dW_hh = np.einsum("nkh,nj->khj", da, h).reshape(W_hh.shape)
    db = np.einsum("nkh->kh", da).ravel()
    return flat["dx"], flat["dh"], dc * f, dW_ih, dW_hh, db, db


def by_row(x, h, c, W_ih, W_hh, b_ih, b_hh):
    hs, cs, caches = [], [], []
    for n in range(len(x)):
        a_i, a_f, a_g, a_o = np.split(W_ih @ x[n] + W_hh @ h[n] + b_ih + b_hh, 4)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        cs.append(f * c[n] + i * g)
        hs.append(o * np.tanh(cs[-1]))
        caches.append((x[n], h[n], c[n], i, f, g, o, cs[-1]))
    return hs, cs, (caches, W_ih, W_hh)


def by_row_backward(dh_next, dc_next, cache):
    caches, W_ih, W_hh = cache
    dx, dh, dc = [], [], []
    dW_ih, dW_hh, db = np.zeros(W_ih.shape), np.zeros(W_hh.shape), np.zeros(len(W_hh))
    for n, (x, h, c, i, f, g, o, c_next) in enumerate(caches):
        d = dc_next[n] + dh_next[n] * o * (1 - np.tanh(c_next) ** 2)
        do = dh_next[n] * np.tanh(c_next)
        da = np.hstack([d * g * i * (1 - i), d * c * f * (1 - f), d * i * (1 - g**2), do * o * (1 - o)])
        dx.append(W_ih.T @ da)
        dh.append(W_hh.T @ da)
        dc.append(d * f)
        dW_ih += np.outer(da, x)
        dW_hh += np.outer(da, h)
        db += da
    return dx, dh, dc, dW_ih, dW_hh, db, db.copy()


def greedy(x, h, c, W_ih, W_hh, b_ih, b_hh):
    """Writes over its inputs wherever it can."""
    old = x.copy(), h.copy(), c.copy(), W_ih, W_hh
    a = x @ W_ih.T
    a += h @ W_hh.T + b_ih + b_hh
    H = h.shape[1]
    for part in (a[:, : 2 * H], a[:, 3 * H :]):
        np.negative(part, out=part)
        np.exp(part, out=part)
        part += 1
        np.reciprocal(part, out=part)
    g = np.tanh(a[:, 2 * H : 3 * H], out=a[:, 2 * H : 3 * H])
    i, f, o = a[:, :H], a[:, H : 2 * H], a[:, 3 * H :]
    c *= f
    c += i * g
    np.multiply(o, np.tanh(c), out=h)
    return h, c, (*old, i, f, g, o, c.copy())


def greedy_backward(dh_next, dc_next, cache):
    x, h, c, W_ih, W_hh, i, f, g, o, c_next = cache
    np.tanh(c_next, out=c_next)
    do = dh_next * c_next
    c_next *= -c_next
    c_next += 1
    dh_next *= o
    dh_next *= c_next
    dc_next += dh_next
    da = np.empty((len(x), 4 * h.shape[1]), order="F")
    da[:] = np.hstack(
        [dc_next * g * i * (1 - i), dc_next * c * f * (1 - f), dc_next * i * (1 - g**2), do * o * (1 - o)]
    )
    dc_next *= f
    return da @ W_ih, da @ W_hh, dc_next, da.T @ x, da.T @ h, da.sum(0), da.sum(0)


def recomputing_backward(dh_next, dc_next, inputs):
    return step_backward(dh_next, dc_next, step(*inputs)[2])


def closing_over(*inputs):
    h_next, c_next, cache = step(*inputs)
    return h_next, c_next, lambda dh_next, dc_next: step_backward(dh_next, dc_next, cache)


NAMES = ("x", "h", "c", "W_ih", "W_hh", "i", "f", "g", "o", "c_next")
STEPS = {
    "plain": (step, step_backward),
    "gate by gate": (gate_by_gate, gate_by_gate_backward),
    "einsum, three axes": (three_axes, einsum_backward),
    "rows in lists": (by_row, by_row_backward),
    "float32": (in_float32(step), in_float32(step_backward)),
    "a dictionary for a cache": kept(lambda c: dict(zip(NAMES, c, strict=True)), lambda d: [d[n] for n in NAMES]),
    "an object for a cache": kept(
        lambda c: SimpleNamespace(**dict(zip(NAMES, c, strict=True))), lambda o: [getattr(o, n) for n in NAMES]
    ),
    "a function for a cache": (closing_over, lambda dh_next, dc_next, cache: cache(dh_next, dc_next)),
    "recomputing": (lambda *inputs: (*step(*inputs)[:2], inputs), recomputing_backward),
    "a named tuple": given_back(lambda gradients: Gradients(*gradients)),
    "nested lists": given_back(lambda gradients: [gradient.tolist() for gradient in gradients]),
    "Fortran order": given_back(lambda gradients: [np.asfortranarray(gradient) for gradient in gradients]),
    "prints and warnings": (noisy(step), noisy(step_backward)),
    "in place, inputs spoilt": (greedy, greedy_backward),
}


# ---- through time, in many hands -----------------------------------------------------------------------------------


def with_steps(forward_step, backward_step):
    """A sequence made of a learner's own steps."""

    def forward(x, h0, c0, *weights):
        h, c, hs, caches = h0, c0, [], []
        for x_t in x:
            h, c, cache = forward_step(x_t, h, c, *weights)
            hs.append(np.array(h))
            caches.append(cache)
        return np.stack(hs), h, c, caches

    def backward(dhs, dh_last, dc_last, caches):
        dh, dc, dxs, sums = dh_last, dc_last, [], [0, 0, 0, 0]
        for t in reversed(range(len(dhs))):
            dx, dh, dc, *parts = backward_step(dhs[t] + dh, dc, caches[t])
            dxs.insert(0, dx)
            sums = [total + part for total, part in zip(sums, parts, strict=True)]
        return dxs, dh, dc, *sums

    return forward, backward


def whole(x, h0, c0, W_ih, W_hh, b_ih, b_hh):
    """One product for all steps' inputs; states with the initial ones in front."""
    T, (N, H) = len(x), h0.shape
    a_x = x @ W_ih.T + (b_ih + b_hh)
    hs, cs, gates = np.zeros((T + 1, N, H)), np.zeros((T + 1, N, H)), np.zeros((T, 4, N, H))
    hs[0], cs[0] = h0, c0
    for t in range(T):
        a = (a_x[t] + hs[t] @ W_hh.T).reshape(N, 4, H).swapaxes(0, 1)
        gates[t] = sigmoid(a)
        gates[t, 2] = np.tanh(a[2])
        i, f, g, o = gates[t]
        cs[t + 1] = f * cs[t] + i * g
        hs[t + 1] = o * np.tanh(cs[t + 1])
    return hs[1:], hs[-1], cs[-1], {"x": x, "hs": hs, "cs": cs, "gates": gates, "W": (W_ih, W_hh)}


def whole_backward(dhs, dh_last, dc_last, cache):
    """Walks once, multiplies all steps' da at the end."""
    x, hs, cs, (W_ih, W_hh) = cache["x"], cache["hs"], cache["cs"], cache["W"]
    das, dh, dc = np.zeros((*dhs.shape[:2], len(W_hh))), dh_last.copy(), dc_last.copy()
    for t in range(len(x) - 1, -1, -1):
        i, f, g, o = cache["gates"][t]
        tanh_c = np.tanh(cs[t + 1])
        dh += dhs[t]
        dc += dh * o * (1 - tanh_c**2)
        das[t] = np.hstack(
            [dc * g * i * (1 - i), dc * cs[t] * f * (1 - f), dc * i * (1 - g**2), dh * tanh_c * o * (1 - o)]
        )
        dh, dc = das[t] @ W_hh, dc * f
    dW_ih, dW_hh = np.einsum("tna,tnd->ad", das, x), np.einsum("tna,tnk->ak", das, hs[:-1])
    return das @ W_ih, dh, dc, dW_ih, dW_hh, das.sum((0, 1)), das.sum((0, 1))


def into_dhs(dhs, dh_last, dc_last, caches):
    """Carries the gradients inside the arrays that came in."""
    dhs[-1] += dh_last
    dxs, total = [], None
    for t in range(len(dhs) - 1, -1, -1):
        dx, dh, dc, *parts = step_backward(dhs[t], dc_last, caches[t])
        dc_last[:] = dc
        dxs.append(dx)
        total = parts if total is None else [np.add(a, b) for a, b in zip(total, parts, strict=True)]
        if t:
            dhs[t - 1] += dh
    return dxs[::-1], dh, dc_last, *total


def sequence_by_sequence(dhs, dh_last, dc_last, inputs):
    x, h0, c0, *weights = inputs
    dxs, dh0s, dc0s, sums = [], [], [], None
    for n in range(len(h0)):
        one = slice(n, n + 1)
        *_, cache = whole(x[:, one], h0[one], c0[one], *weights)
        dx, dh0, dc0, *parts = whole_backward(dhs[:, one], dh_last[one], dc_last[one], cache)
        dxs.append(dx[:, 0])
        dh0s.append(dh0[0])
        dc0s.append(dc0[0])
        sums = parts if sums is None else [a + b for a, b in zip(sums, parts, strict=True)]
    return np.stack(dxs, axis=1), dh0s, dc0s, *sums


def recursive(dhs, dh_last, dc_last, caches):
    if not caches:
        return [], dh_last, dc_last, 0, 0, 0, 0
    dx, dh, dc, *last = step_backward(dhs[-1] + dh_last, dc_last, caches[-1])
    dxs, dh0, dc0, *before = recursive(dhs[:-1], dh, dc, caches[:-1])
    return [*dxs, dx], dh0, dc0, *(a + b for a, b in zip(last, before, strict=True))


def inputs_kept(*inputs):
    return *whole(*inputs)[:3], inputs


TIMES = {
    "its own steps": with_steps(step, step_backward),
    "its own steps, gate by gate": with_steps(gate_by_gate, gate_by_gate_backward),
    "its own steps by row": with_steps(by_row, by_row_backward),
    "its own steps, objects for caches": with_steps(*STEPS["an object for a cache"]),
    "whole arrays": (whole, whole_backward),
    "float32": tuple(map(in_float32, with_steps(step, step_backward))),
    "inside dhs": (with_steps(step, step_backward)[0], into_dhs),
    "recomputing": (inputs_kept, lambda *given: whole_backward(*given[:3], whole(*given[3])[3])),
    "sequence by sequence": (inputs_kept, sequence_by_sequence),
    "recursion": (with_steps(step, step_backward)[0], recursive),
    "a named tuple": (whole, lambda *given: Gradients(*whole_backward(*given))),
    "nested lists": (whole, lambda *given: [gradient.tolist() for gradient in whole_backward(*given)]),
    "a list of outputs": (lambda *inputs: list(whole(*inputs)), whole_backward),
    "prints and warnings": with_steps(noisy(step), noisy(step_backward)),
    "in place, inputs spoilt": with_steps(greedy, greedy_backward),
    "the library's": (lstm.forward, lstm.backward),
}

VARIANTS = [
    *(
        pytest.param(q, pair, id=f"{q}: {how}")
        for q in ("lstm_step", "lstm_step_backward")
        for how, pair in STEPS.items()
    ),
    *(
        pytest.param(q, pair, id=f"{q}: {how}")
        for q in ("lstm_forward", "lstm_backward")
        for how, pair in TIMES.items()
    ),
]


@pytest.mark.parametrize(("question", "pair"), VARIANTS)
def test_a_correct_solution_gets_full_marks_however_it_is_written(question, pair):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = ask(question, *pair)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


# ---- follow-through ------------------------------------------------------------------------------------------------


def reordered(pair, order):
    """The pair of somebody who reads the rows in another order, forwards and back."""
    forward, backward = pair

    def rows(W):
        blocks = dict(zip(order, np.split(W, 4), strict=True))
        return np.concatenate([blocks[gate] for gate in "ifgo"])

    def back(dW):
        blocks = dict(zip("ifgo", np.split(dW, 4), strict=True))
        return np.concatenate([blocks[gate] for gate in order])

    return (
        lambda x, h, c, *weights: forward(x, h, c, *map(rows, weights)),
        lambda *given: (*backward(*given)[:3], *map(back, backward(*given)[3:])),
    )


@pytest.mark.parametrize("order", ["ifog", "figo"])
@pytest.mark.parametrize(
    ("question", "pair"), [("lstm_step_backward", STEPS["plain"]), ("lstm_backward", TIMES["recursion"])]
)
def test_who_reads_the_gates_in_another_order_both_ways_pays_for_it_once(question, pair, order):
    verdict = ask(question, *reordered(pair, order))
    assert [part.name for part in verdict.parts if part.points == 0] == [verdict.parts[-1].name]  # the edge cases
    assert verdict.diagnosis.bugs == (f"gates_in_the_order_{order}",)


def test_of_the_backward_of_a_wrong_step_just_what_is_wrong_is_lost():
    forward, backward = reordered((step, step_backward), "ifog")

    def past_the_gate(dh_next, dc_next, cache):
        dx, dh, dc, *parts = backward(dh_next, dc_next, cache)
        return dx, dh, dc / cache[6], *parts

    verdict = check("lstm_step_backward", forward, past_the_gate)
    assert [part.name for part in verdict.parts if part.points == 0] == ["dc", "one sequence, one unit"]
    assert verdict.diagnosis.bugs == ("gates_in_the_order_ifog", "forget_gate_not_passed")


def test_a_cell_without_its_tanh_is_easier_to_send_back_and_pays_nothing():
    def forward(*inputs):
        _, c_next, cache = step(*inputs)
        return cache[8] * c_next, c_next, cache

    def backward(dh_next, dc_next, cache):
        x, h, c, W_ih, W_hh, i, f, g, o, c_next = cache
        dc = dc_next + dh_next * o
        parts = dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh_next * c_next * o * (1 - o)
        da = np.concatenate(parts, axis=1)
        return da @ W_ih, da @ W_hh, dc * f, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)

    verdict = check("lstm_step_backward", forward, backward)
    assert verdict.points == 0
    assert verdict.diagnosis.bugs == ("cell_not_squashed",)


def squashed(x, h, c, *weights):
    """What is kept has been through tanh: the step's slip, and a loop built on it."""
    _, c_next, cache = step(x, h, c, *weights)
    return cache[8] * np.tanh(c_next), np.tanh(c_next), cache


def test_a_loop_over_a_wrong_step_keeps_its_points():
    first = ask("lstm_step", squashed, step_backward)
    assert first.diagnosis.bugs == ("squashed_cell_kept",)
    second = ask("lstm_forward", *with_steps(squashed, step_backward))
    assert second.points == second.max_points, str(second)
    assert "Nothing is wrong here but the slip in" in second.diagnosis.text


def without_gate_derivatives(dh_next, dc_next, cache):
    x, h, c, W_ih, W_hh, i, f, g, o, c_next = cache
    dc = dc_next + dh_next * o * (1 - np.tanh(c_next) ** 2)
    da = np.concatenate([dc * g, dc * c, dc * i * (1 - g**2), dh_next * np.tanh(c_next)], axis=1)
    return da @ W_ih, da @ W_hh, dc * f, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)


def past_the_forget_gate(dh_next, dc_next, cache):
    dx, dh, dc, *parts = step_backward(dh_next, dc_next, cache)
    return dx, dh, dc / cache[6], *parts


def without_the_output_path(dh_next, dc_next, cache):
    dx, dh, dc, *parts = step_backward(0 * dh_next, dc_next, cache)
    only_o = step_backward(dh_next, 0 * dc_next, (*cache[:5], *(0 * v for v in cache[5:8]), *cache[8:]))
    dx_o, dh_o, _, *parts_o = only_o
    return dx + dx_o, dh + dh_o, dc, *(a + b for a, b in zip(parts, parts_o, strict=True))


SLIPS = {
    "gate_derivatives_forgotten": (without_gate_derivatives, {"dc"}),
    "forget_gate_not_passed": (past_the_forget_gate, {"dx and dh", "dW_ih and dW_hh", "db_ih and db_hh"}),
    "path_through_the_output_forgotten": (without_the_output_path, set()),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_in_the_step_back_costs_its_parts_alone_and_only_there(name):
    backward, right = SLIPS[name]
    first = check("lstm_step_backward", step, backward)
    assert {part.name for part in first.parts if part.points} == right
    assert first.diagnosis.bugs == (name,)
    second = check("lstm_backward", *with_steps(step, backward))
    assert second.points == second.max_points, str(second)
    assert "Nothing is wrong here but the slip in" in second.diagnosis.text


def test_without_the_earlier_slip_the_same_loop_loses_its_points():
    check("lstm_step_backward", step, step_backward)
    assert check("lstm_backward", *with_steps(step, without_gate_derivatives)).points == 0


def test_a_slip_of_the_loop_itself_is_not_followed():
    check("lstm_step_backward", step, without_gate_derivatives)
    forward, backward = with_steps(step, without_gate_derivatives)
    verdict = check("lstm_backward", forward, lambda dhs, dh, dc, cache: backward(dhs, dh, 0 * dc, cache))
    assert verdict.points == 0
    assert set(verdict.diagnosis.bugs) == {"last_cell_forgotten", "gate_derivatives_forgotten"}


# ---- the notebooks -------------------------------------------------------------------------------------------------


def test_the_sources_own_solution_gets_full_marks_learns_and_is_drawn():
    shown = executed(SOURCE)
    for name, question in questions_of("ps4_lstm").items():
        assert float(shown[name]["text/plain"]) == question.points
    (loss,) = re.findall(r"the loss is ([\d.]+) nats", shown["train"]["printed"])
    assert float(loss) < 0.15
    carried, left_out = map(float, re.findall(r"[\d.]+e[+-]\d+", shown["in_two_pieces"]["printed"]))
    assert carried < 1e-12 < 1e-3 < left_out
    for picture in ("look_at_gates", "look_at_flow", "story_picture"):
        assert "image/png" in shown[picture]


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps4_lstm"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    assert "Nothing to compare yet" in shown["in_two_pieces"]["printed"]
    for picture in ("look_at_gates", "look_at_flow"):
        assert "Nothing to draw yet" in shown[picture]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    assert list(graded.items()) == [(name, q.points) for name, q in questions_of("ps4_lstm").items()]
    assert "**Points** | 28: one step 5, one step back 8, over time 6, back through time 9" in cells["title"].source
    assert sum(graded.values()) == 28


def test_the_locked_cells_ask_as_the_questions_do(cells):
    for name, pair in PAIRS.items():
        assert cells[name].source == f'check("{name}", {", ".join(pair)})'
        assert find(name).backward.forward == pair[0]
        assert find(name).backward.name == pair[1]
    for name, count in WITHOUT_CACHE.items():
        assert cells[name].source == f'check("{name}", lambda *inputs: {name}(*inputs)[:{count}])'
        assert len(find(name).outputs) == count


# ---- worked examples -----------------------------------------------------------------------------------------------


def numbers(text):
    return [float(entry.replace("−", "-")) for entry in re.findall(r"(?<![\w^])−?\d+(?:\.\d+)?", text)]


def rows(text):
    """The numbers of each table row that holds any, by the row's first entry."""
    found = {}
    for line in text.splitlines():
        if line.startswith("|") and "---" not in line:
            head, *entries = (entry.strip() for entry in line.strip("|").split("|"))
            found[head] = [float(e.replace("−", "-")) for e in entries if re.fullmatch(r"−?[\d.]+", e)]
    return found


def given(text):
    """The one-unit weights that the first worked example states."""
    (W_ih,) = re.findall(r"`W_ih` = ([−\d., ]+\d)", text)
    (W_hh,) = re.findall(r"`W_hh` = ([−\d., ]+\d)", text)
    (b,) = re.findall(r"both biases ([−\d., ]+\d)", text)
    column = [np.array(numbers(part))[:, None] for part in (W_ih, W_hh)]
    return *column, np.array(numbers(b)), np.array(numbers(b))


def one(value):
    return np.full((1, 1), float(value))


def test_the_worked_step_is_true(cells):
    weights = given(cells["q1"].source)
    h_next, c_next, cache = lstm.step_forward(one(1), one(0.5), one(1.5), *weights)
    a = weights[0].ravel() + 0.5 * weights[1].ravel() + 2 * weights[2]
    u = cache.update
    expected = [*a, *(v.item() for v in (u.i, u.f, u.g, u.o, c_next, h_next))]
    (line,) = re.findall(r"\n(\| 1 \|.*)", cells["q1"].source)
    np.testing.assert_allclose(numbers(line), expected, atol=5.1e-5)


def test_the_worked_step_back_is_true(cells):
    text = cells["q2"].source
    _, _, cache = lstm.step_forward(one(1), one(0.5), one(1.5), *given(cells["q1"].source))
    g = lstm.step_backward(one(2), one(1), cache)
    u = cache.update
    dc_t = 1 + 2 * u.o * (1 - u.tanh_c_next**2)
    expected = [*(v.item() for v in (2 * u.tanh_c_next, dc_t, dc_t * u.g, dc_t * u.c, dc_t * u.i)), *g.db_ih]
    (line,) = re.findall(r"\n(\| 1\.\d+ \|.*)", text)
    np.testing.assert_allclose(numbers(line), expected, atol=5.1e-5)
    for name, value in (("dx", g.dx), ("dh", g.dh), ("dc", g.dc)):
        (said,) = re.findall(rf"\${name}\$ = (−?[\d.]+\d)", text)
        assert float(said.replace("−", "-")) == pytest.approx(value.item(), abs=5.1e-5)
    np.testing.assert_allclose(g.dW_ih.ravel(), g.db_ih)
    np.testing.assert_allclose(g.dW_hh.ravel(), g.db_ih / 2)


def test_the_worked_sequence_and_its_way_back_are_true(cells):
    weights, x, dhs = given(cells["q1"].source), (1, 0, -1), (0.5, 0, 1)
    table, h, c, caches = rows(cells["q3"].source), one(0), one(0), []
    for t in range(3):
        h, c, cache = lstm.step_forward(one(x[t]), h, c, *weights)
        caches.append(cache)
        for name, value in {**cache.update._asdict(), "c": c, "h": h}.items():
            if name in "ifgoch":
                assert table[f"${name}_t$"][t] == pytest.approx(value.item(), abs=5.1e-5)
    text = cells["q4"].source
    table, dh, dc, total = rows(text), one(0), one(0), 0
    for t in (2, 1, 0):
        u = caches[t].update
        summed = dh + dhs[t]
        all_of_c = dc + summed * u.o * (1 - u.tanh_c_next**2)
        column = [values[t] for head, values in table.items() if head.startswith(("own", "$d", "inside"))]
        np.testing.assert_allclose(column, [dhs[t], dh.item(), summed.item(), dc.item(), all_of_c.item()], atol=5.1e-5)
        _, dh, dc, *parts = lstm.step_backward(summed, dc, caches[t])
        total = [np.ravel(part) + (total[k] if total else 0) for k, part in enumerate(parts)]
    said = numbers(text.split("in the order i, f, g, o,")[1].replace("dh_0", "").replace("dc_0", ""))
    np.testing.assert_allclose(said, [*total[0], *total[1], *total[2], dh.item(), dc.item()], atol=5.1e-5)


# ---- the learner's pictures ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def room(cells):
    """The names that the source's cells leave behind: solution, training and pictures, all of them run once."""
    names: dict[str, Any] = {"__name__": "__main__", "check": lambda *anything: None, "np": np}
    for cell in cells.values():
        if cell.cell_type == "code" and cell.id not in ("install", "setup", "story_picture"):
            exec(cell.source, names)
    return names


def test_the_measured_gates_are_the_gates(room):
    sentence, weights = "f(a b) c", room["weights"].values()
    measured = room["measured"](sentence)
    h = c = np.zeros((1, room["H"]))
    for t, letter in enumerate(sentence):
        h, c, cache = lstm.step_forward(np.eye(128)[[ord(letter)]], h, c, *weights)
        u = cache.update
        np.testing.assert_allclose(measured[:, t], np.concatenate([u.i, u.f, u.o, c, h]), rtol=1e-6, atol=1e-9)


def test_unit_0_keeps_what_it_has_been_told_between_the_brackets(room):
    i, f, _, _, h = room["measured"]("read it (as I did, twice) to the end")[:, :, 0]
    between = slice(10, 24)
    assert np.all(h[8:24] > 0)
    assert np.all(np.concatenate([h[2:8], h[25:]]) < 0)
    assert f[between].min() > 0.9
    assert i[between].max() < 0.1


@pytest.mark.parametrize("sentence", ["", "a", "((deeper) still)", "naïve (ñ) 東京", "x" * 48])
def test_the_gates_are_drawn_for_whatever_is_typed(room, sentence):
    for unit in range(room["H"]):
        for panel in room["gates"](sentence, unit).panels:
            assert all(np.isfinite(mark.y).all() for mark in panel.marks)


@pytest.mark.parametrize("bias", np.arange(-2, 8.5, 0.5))
def test_the_dots_lie_on_the_line_at_every_position_of_the_slider(room, bias):
    sent, measured = room["sent_back"](bias)
    np.testing.assert_allclose(sent, measured, rtol=1e-2 if bias < 0 else 1e-4)
    assert np.isfinite(sent).all()


def test_an_open_forget_gate_brings_the_gradient_back_and_a_half_open_one_does_not(room):
    assert room["sent_back"](0.0)[0][-1] < 1e-8
    assert room["sent_back"](4.0)[0][-1] > 0.1


def test_a_wrong_backward_lies_off_the_dots(room, monkeypatch):
    monkeypatch.setitem(room, "lstm_backward", with_steps(step, past_the_forget_gate)[1])
    monkeypatch.setitem(room, "lstm_forward", with_steps(step, past_the_forget_gate)[0])
    sent, measured = room["sent_back"](0.0)
    assert sent[-1] > 100 * measured[-1]


def test_a_forward_that_forgot_its_cache_is_told_so_itself():
    text = check("lstm_step_backward", lambda x, h, c, *weights: (h, c), lambda *back: None).diagnosis.text
    assert "Your lstm_step returned 2 things; expected 3, in this order: h_next, c_next, a cache" in text
    assert "What your backward function will read must go along, as the last thing: the cache" in text
