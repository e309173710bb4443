"""Problem set 5: right answers get full marks however they are written, slips are paid for once, examples are true."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograder.check import check
from autograder.question import PUBLIC_SEED
from autograder.questions import find, questions_of
from rnnlib.cells import gru, gru_before
from tests.conftest import ROOT
from tests.grading.habits import in_float32, noisy
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps5_gru/ps5_gru.ipynb"
RELEASED = ROOT / "autograder/course/release/ps5_gru/ps5_gru.ipynb"
PAIRS = {"gru_step_backward": ("gru_step", "gru_step_backward"), "gru_backward": ("gru_forward", "gru_backward")}
WITHOUT_CACHE = {"gru_step": '"h_next"', "gru_forward": '"hs", "h_last"'}  # what a locked cell asks for beside it
CELLS = ("RNN", "GRU", "LSTM")


def ask(question, forward, backward):
    """`check`, as the locked cells call it."""
    if question == "gru_step":
        return check(question, lambda *inputs: forward(*inputs)[0])
    if question == "gru_forward":
        return check(question, lambda *inputs: forward(*inputs)[:2])
    return check(question, forward, backward)


def count(function):
    """`check` of the last question, as its locked cell calls it."""
    return check("parameter_count", lambda D, H, cell, *more: function(int(D), int(H), CELLS[cell], *map(int, more)))


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


# ---- one step, in many hands ---------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    dx: Any
    dh: Any
    dW_ih: Any
    dW_hh: Any
    db_ih: Any
    db_hh: Any


def step(x, h, W_ih, W_hh, b_ih, b_hh):
    a_r, a_z, a_n = np.split(x @ W_ih.T + b_ih, 3, axis=1)
    q_r, q_z, q_n = np.split(h @ W_hh.T + b_hh, 3, axis=1)
    r, z = sigmoid(a_r + q_r), sigmoid(a_z + q_z)
    n = np.tanh(a_n + r * q_n)
    return (1 - z) * n + z * h, (x, h, W_ih, W_hh, r, z, n, q_n)


def step_backward(dh_next, cache):
    x, h, W_ih, W_hh, r, z, n, q_n = cache
    da_n = dh_next * (1 - z) * (1 - n**2)
    da_r, da_z = da_n * q_n * r * (1 - r), dh_next * (h - n) * z * (1 - z)
    da = np.concatenate([da_r, da_z, da_n], axis=1)
    dq = np.concatenate([da_r, da_z, da_n * r], axis=1)
    return da @ W_ih, dh_next * z + dq @ W_hh, da.T @ x, dq.T @ h, da.sum(axis=0), dq.sum(axis=0)


def kept(keep, unpack):
    """The pair with another cache: `keep` makes it of eight arrays, `unpack` takes them out."""

    def forward(*inputs):
        h_next, cache = step(*inputs)
        return h_next, keep(cache)

    return forward, lambda dh_next, cache: step_backward(dh_next, unpack(cache))


def given_back(change):
    """The pair with its gradients in another form."""
    return step, lambda dh_next, cache: change(step_backward(dh_next, cache))


def gate_by_gate(x, h, W_ih, W_hh, b_ih, b_hh):
    """Six products, one for each block of rows; the state as n and what is left of the distance to h."""
    H, sums = h.shape[1], {}
    for k, name in enumerate("rzn"):
        rows = slice(k * H, (k + 1) * H)
        sums[name] = x.dot(W_ih[rows].T) + b_ih[rows], h.dot(W_hh[rows].T) + b_hh[rows]
    r, z = (np.reciprocal(1 + np.exp(-sum(sums[name]))) for name in "rz")
    a, q = sums["n"]
    n = np.tanh(a + r * q)
    return n + z * (h - n), {"x": x, "h": h, "W": (W_ih, W_hh), "r": r, "z": z, "n": n, "q": q}


def gate_by_gate_backward(dh_next, k):
    W_ih, W_hh = k["W"]
    x, h, r, z, n, q = (k[name] for name in "xhrznq")
    H, dx = h.shape[1], 0
    dh = dh_next * z
    dW_ih, dW_hh, db_ih, db_hh = (np.zeros(size) for size in (W_ih.shape, W_hh.shape, len(W_ih), len(W_ih)))
    dn = (dh_next - dh) * (1 - n * n)
    dr, dz = dn * q * (r - r * r), dh_next * (h - n) * (z - z * z)
    for j, (da, dq) in enumerate([(dr, dr), (dz, dz), (dn, dn * r)]):
        rows = slice(j * H, (j + 1) * H)
        dx, dh = dx + da @ W_ih[rows], dh + dq @ W_hh[rows]
        dW_ih[rows], db_ih[rows] = da.T @ x, da.sum(0)
        dW_hh[rows], db_hh[rows] = dq.T @ h, dq.sum(0)
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh


def three_axes(x, h, W_ih, W_hh, b_ih, b_hh):
    """σ by tanh of the half, gates on an axis of their own."""
    a = np.einsum("nd,kd->nk", x, W_ih) + b_ih
    q = np.einsum("nj,kj->nk", h, W_hh) + b_hh
    a, q = (s.reshape(len(x), 3, -1).swapaxes(0, 1) for s in (a, q))
    r, z = np.tanh((a[:2] + q[:2]) / 2) / 2 + 0.5
    n = np.tanh(np.add(a[2], np.multiply(r, q[2])))
    return z * h + n - z * n, (x, h, W_ih, W_hh, r, z, n, q[2])


def einsum_backward(dh_next, cache):
    x, h, W_ih, W_hh, r, z, n, q_n = cache
    da_n = np.einsum("nh,nh,nh->nh", dh_next, 1 - z, 1 - np.square(n))
    both = [da_n * q_n * r * (1 - r), dh_next * (h - n) * z * (1 - z)]
    da, dq = np.stack([*both, da_n], axis=1), np.stack([*both, da_n * r], axis=1)
    W_x, W_h = W_ih.reshape(3, -1, x.shape[1]), W_hh.reshape(3, -1, h.shape[1])
    dx, dh = np.einsum("nkh,khd->nd", da, W_x), np.einsum("nkh,khj->nj", dq, W_h) + z * dh_next
    dW_ih = np.einsum("nkh,nd->khd", da, x).reshape(W_ih.shape)
    dW_hh = np.einsum("nkh,nj->khj", dq, h).reshape(W_hh.shape)
    return dx, dh, dW_ih, dW_hh, np.einsum("nkh->kh", da).ravel(), np.einsum("nkh->kh", dq).ravel()


def by_row(x, h, W_ih, W_hh, b_ih, b_hh):
    hs, caches = [], []
    for n in range(len(x)):
        a_r, a_z, a_n = np.split(W_ih @ x[n] + b_ih, 3)
        q_r, q_z, q_n = np.split(W_hh @ h[n] + b_hh, 3)
        r, z = sigmoid(a_r + q_r), sigmoid(a_z + q_z)
        new = np.tanh(a_n + r * q_n)
        hs.append(new * (1 - z) + h[n] * z)
        caches.append((x[n], h[n], r, z, new, q_n))
    return hs, (caches, W_ih, W_hh)


def by_row_backward(dh_next, cache):
    caches, W_ih, W_hh = cache
    dx, dh = [], []
    dW_ih, dW_hh, db_ih, db_hh = (np.zeros(size) for size in (W_ih.shape, W_hh.shape, len(W_hh), len(W_hh)))
    for d, (x, h, r, z, n, q_n) in zip(dh_next, caches, strict=True):
        da_n = d * (1 - z) * (1 - n**2)
        da = np.hstack([da_n * q_n * r * (1 - r), d * (h - n) * z * (1 - z), da_n])
        dq = da * np.hstack([np.ones(2 * len(h)), r])
        dx.append(W_ih.T @ da)
        dh.append(W_hh.T @ dq + z * d)
        dW_ih += np.outer(da, x)
        dW_hh += np.outer(dq, h)
        db_ih += da
        db_hh += dq
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh


def greedy(x, h, W_ih, W_hh, b_ih, b_hh):
    """Writes over its inputs wherever it can."""
    old, H = (x.copy(), h.copy(), W_ih, W_hh), h.shape[1]
    a, q = x @ W_ih.T, h @ W_hh.T
    a += b_ih
    q += b_hh
    gates = a[:, : 2 * H]
    gates += q[:, : 2 * H]
    np.negative(gates, out=gates)
    np.exp(gates, out=gates)
    gates += 1
    np.reciprocal(gates, out=gates)
    r, z, n, q_n = a[:, :H], a[:, H : 2 * H], a[:, 2 * H :], q[:, 2 * H :]
    n += r * q_n
    np.tanh(n, out=n)
    h -= n
    h *= z
    h += n
    return h, (*old, r, z, n, q_n)


def greedy_backward(dh_next, cache):
    x, h, W_ih, W_hh, r, z, n, q_n = cache
    da = np.empty((len(x), 3 * h.shape[1]), order="F")
    da_r, da_z, da_n = np.split(da, 3, axis=1)
    da_z[:] = dh_next * (h - n) * z * (1 - z)
    n *= -n
    n += 1
    da_n[:] = n * (1 - z) * dh_next
    dh_next *= z
    q_n *= da_n
    da_r[:] = q_n * r * (1 - r)
    dx, dW_ih, db_ih = da @ W_ih, da.T @ x, da.sum(0)
    da_n *= r
    dh_next += da @ W_hh
    return dx, dh_next, dW_ih, da.T @ h, db_ih, da.sum(0)


def recomputing_backward(dh_next, inputs):
    return step_backward(dh_next, step(*inputs)[1])


def closing_over(*inputs):
    h_next, cache = step(*inputs)
    return h_next, lambda dh_next: step_backward(dh_next, cache)


NAMES = ("x", "h", "W_ih", "W_hh", "r", "z", "n", "q_n")
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
    "a function for a cache": (closing_over, lambda dh_next, cache: cache(dh_next)),
    "recomputing": (lambda *inputs: (step(*inputs)[0], inputs), recomputing_backward),
    "a named tuple": given_back(lambda gradients: Gradients(*gradients)),
    "nested lists": given_back(lambda gradients: [gradient.tolist() for gradient in gradients]),
    "Fortran order": given_back(lambda gradients: [np.asfortranarray(gradient) for gradient in gradients]),
    "prints and warnings": (noisy(step), noisy(step_backward)),
    "in place, inputs spoilt": (greedy, greedy_backward),
    "the library's": (gru.step_forward, gru.step_backward),
}


# ---- through time, in many hands -----------------------------------------------------------------------------------


def with_steps(forward_step, backward_step):
    """A sequence made of a learner's own steps."""

    def forward(x, h0, *weights):
        h, hs, caches = h0, [], []
        for x_t in x:
            h, cache = forward_step(x_t, h, *weights)
            h = np.array(h)
            hs.append(h.copy())
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
    """One product for all steps' inputs; states with the initial one in front."""
    T, (N, H) = len(x), h0.shape
    a = (x @ W_ih.T + b_ih).reshape(T, N, 3, H)
    hs, gates = np.zeros((T + 1, N, H)), np.zeros((4, T, N, H))
    hs[0] = h0
    for t in range(T):
        q = (hs[t] @ W_hh.T + b_hh).reshape(N, 3, H)
        r, z = sigmoid(a[t, :, 0] + q[:, 0]), sigmoid(a[t, :, 1] + q[:, 1])
        n = np.tanh(a[t, :, 2] + r * q[:, 2])
        gates[:, t] = r, z, n, q[:, 2]
        hs[t + 1] = n + z * (hs[t] - n)
    return hs[1:], hs[-1], {"x": x, "hs": hs, "gates": gates, "W": (W_ih, W_hh)}


def whole_backward(dhs, dh_last, cache):
    """Walks once, multiplies all steps' da and dq at the end."""
    x, hs, (W_ih, W_hh), (r, z, n, q_n) = cache["x"], cache["hs"], cache["W"], cache["gates"]
    das, dqs, dh = np.zeros((*dhs.shape[:2], len(W_hh))), np.zeros((*dhs.shape[:2], len(W_hh))), dh_last.copy()
    for t in range(len(x) - 1, -1, -1):
        dh += dhs[t]
        da_n = dh * (1 - z[t]) * (1 - n[t] ** 2)
        both = da_n * q_n[t] * r[t] * (1 - r[t]), dh * (hs[t] - n[t]) * z[t] * (1 - z[t])
        das[t], dqs[t] = np.hstack([*both, da_n]), np.hstack([*both, da_n * r[t]])
        dh = dh * z[t] + dqs[t] @ W_hh
    dW_ih, dW_hh = np.einsum("tna,tnd->ad", das, x), np.einsum("tna,tnk->ak", dqs, hs[:-1])
    return das @ W_ih, dh, dW_ih, dW_hh, das.sum((0, 1)), dqs.sum((0, 1))


def into_dhs(dhs, dh_last, caches):
    """Carries the gradient inside the array that came in."""
    dhs[-1] += dh_last
    dxs, total = [], None
    for t in range(len(dhs) - 1, -1, -1):
        dx, dh, *parts = step_backward(dhs[t], caches[t])
        dxs.append(dx)
        total = parts if total is None else [np.add(a, b) for a, b in zip(total, parts, strict=True)]
        if t:
            dhs[t - 1] += dh
    return dxs[::-1], dh, *total


def sequence_by_sequence(dhs, dh_last, inputs):
    x, h0, *weights = inputs
    dxs, dh0s, sums = [], [], None
    for n in range(len(h0)):
        one = slice(n, n + 1)
        *_, cache = whole(x[:, one], h0[one], *weights)
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
    return *whole(*inputs)[:2], inputs


TIMES = {
    "its own steps": with_steps(step, step_backward),
    "its own steps, gate by gate": with_steps(gate_by_gate, gate_by_gate_backward),
    "its own steps by row": with_steps(by_row, by_row_backward),
    "its own steps, objects for caches": with_steps(*STEPS["an object for a cache"]),
    "whole arrays": (whole, whole_backward),
    "float32": tuple(map(in_float32, with_steps(step, step_backward))),
    "inside dhs": (with_steps(step, step_backward)[0], into_dhs),
    "recomputing": (inputs_kept, lambda *given: whole_backward(*given[:2], whole(*given[2])[2])),
    "sequence by sequence": (inputs_kept, sequence_by_sequence),
    "recursion": (with_steps(step, step_backward)[0], recursive),
    "a named tuple": (whole, lambda *given: Gradients(*whole_backward(*given))),
    "nested lists": (whole, lambda *given: [gradient.tolist() for gradient in whole_backward(*given)]),
    "a list of outputs": (lambda *inputs: list(whole(*inputs)), whole_backward),
    "prints and warnings": with_steps(noisy(step), noisy(step_backward)),
    "in place, inputs spoilt": with_steps(greedy, greedy_backward),
    "the library's": (gru.forward, gru.backward),
}

VARIANTS = [
    *(
        pytest.param(q, pair, id=f"{q}: {how}")
        for q in ("gru_step", "gru_step_backward")
        for how, pair in STEPS.items()
    ),
    *(pytest.param(q, pair, id=f"{q}: {how}") for q in ("gru_forward", "gru_backward") for how, pair in TIMES.items()),
]


@pytest.mark.parametrize(("question", "pair"), VARIANTS)
def test_a_correct_solution_gets_full_marks_however_it_is_written(question, pair):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = ask(question, *pair)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


# ---- counting, in many hands ---------------------------------------------------------------------------------------


def in_one_line(D, H, cell, layers, directions, biases):
    return (
        (1, 3, 4)[CELLS.index(cell)] * H * directions * (D + H + biases + (layers - 1) * (H * directions + H + biases))
    )


def layer_by_layer(D, H, cell, layers, directions, biases):
    total, reads = 0, D
    for _ in range(layers):
        for _ in range(directions):
            for _ in {"RNN": "h", "GRU": "rzn", "LSTM": "ifgo"}[cell]:
                total += H * reads + H * H + H * biases
        reads = H * directions
    return total


def of_real_arrays(D, H, cell, layers, directions, biases):
    G = {"RNN": 1, "GRU": 3, "LSTM": 4}[cell] * H
    reads = [D] + [directions * H] * (layers - 1)
    arrays = [np.empty(shape) for d in reads for shape in [(G, d), (G, H), *[(G,)] * biases]]
    return np.array([array.size for array in arrays]).sum() * directions


def recursively(D, H, cell, layers, directions, biases):
    if not layers:
        return 0
    here = directions * {"R": 1, "G": 3, "L": 4}[cell[0]] * H * (D + H + biases)
    return here + recursively(directions * H, H, cell, layers - 1, directions, biases)


def as_a_float(*sizes):
    return np.float64(in_one_line(*sizes))


def in_columns(D, H, cell, layers, directions, biases):
    width = np.r_[D, np.full(layers - 1, directions * H)] + H + biases
    return directions * np.sum(width * H * (CELLS.index(cell) + (cell != "RNN") + 1))


@pytest.mark.parametrize(
    "function",
    [in_one_line, layer_by_layer, of_real_arrays, recursively, as_a_float, in_columns],
    ids=lambda f: f.__name__,
)
def test_a_right_count_gets_full_marks_however_it_is_made(function):
    verdict = count(function)
    assert verdict.points == verdict.max_points, str(verdict)


def test_one_number_too_many_is_seen_in_every_count():
    for case in find("parameter_count").draw(PUBLIC_SEED):
        asked = tuple(int(size) for size in case.inputs[:2])
        verdict = count(lambda *given, asked=asked: in_one_line(*given) + (given[:2] == asked))
        assert verdict.points < verdict.max_points, case.name


def test_who_counts_one_layer_right_keeps_half():
    verdict = count(lambda D, H, cell, layers, directions, biases: in_one_line(D, H, cell, 1, 1, biases))
    assert (verdict.points, verdict.max_points) == (2, 4)


# ---- follow-through ------------------------------------------------------------------------------------------------


def reordered(pair, order):
    """The pair of somebody who reads the rows in another order, forwards and back."""
    forward, backward = pair

    def rows(W):
        blocks = dict(zip(order, np.split(W, 3), strict=True))
        return np.concatenate([blocks[gate] for gate in "rzn"])

    def back(dW):
        blocks = dict(zip("rzn", np.split(dW, 3), strict=True))
        return np.concatenate([blocks[gate] for gate in order])

    return (
        lambda x, h, *weights: forward(x, h, *map(rows, weights)),
        lambda *given: (*backward(*given)[:2], *map(back, backward(*given)[2:])),
    )


def inverted(x, h, W_ih, W_hh, b_ih, b_hh):
    """z for the new share: the signs of its rows turn round."""
    sign = np.repeat([1.0, -1.0, 1.0], h.shape[1])
    return step(x, h, W_ih * sign[:, None], W_hh * sign[:, None], b_ih * sign, b_hh * sign)


def inverted_backward(dh_next, cache):
    sign = np.repeat([1.0, -1.0, 1.0], dh_next.shape[1])
    dx, dh, dW_ih, dW_hh, db_ih, db_hh = step_backward(dh_next, cache)
    return dx, dh, dW_ih * sign[:, None], dW_hh * sign[:, None], db_ih * sign, db_hh * sign


CONSISTENT = {
    "gates_in_the_order_zrn": reordered(STEPS["plain"], "zrn"),
    "gates_in_the_order_nrz": reordered(STEPS["plain"], "nrz"),
    "update_gate_inverted": (inverted, inverted_backward),
    "reset_before_the_product": (gru_before.step_forward, gru_before.step_backward),
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_who_writes_another_gru_both_ways_pays_for_it_once(name):
    forward, backward = CONSISTENT[name]
    first, second = ask("gru_step", forward, backward), ask("gru_step_backward", forward, backward)
    assert first.diagnosis.bugs == second.diagnosis.bugs == (name,)
    assert first.points == 0
    assert [part.name for part in second.parts if part.points == 0] == [second.parts[-1].name]  # the edge cases
    for question in ("gru_forward", "gru_backward"):
        verdict = ask(question, *with_steps(forward, backward))
        assert verdict.points == verdict.max_points, str(verdict)
        assert "Nothing is wrong here but the slip in" in verdict.diagnosis.text


@pytest.mark.parametrize("name", CONSISTENT)
@pytest.mark.parametrize("question", ["gru_step_backward", "gru_backward"])
def test_the_bank_knows_another_gru_on_the_way_back_too(question, name):
    pair = CONSISTENT[name] if question == "gru_step_backward" else with_steps(*CONSISTENT[name])
    asked = find(question)
    (bug,) = (bug for bug in asked.bugs if bug.name == name)
    for case in asked.draw(3):
        *outputs, cache = pair[0](*case.inputs)
        for mine, theirs in zip(
            asked.with_bugs([bug])(*case.arguments), (*outputs, *pair[1](*case.upstream, cache)), strict=True
        ):
            np.testing.assert_allclose(mine, theirs, atol=1e-12)


def test_of_the_backward_of_a_wrong_step_just_what_is_wrong_is_lost():
    forward, backward = reordered(STEPS["plain"], "zrn")

    def one_gradient_for_both_biases(dh_next, cache):
        *parts, db_ih, _ = backward(dh_next, cache)
        return *parts, db_ih, db_ih

    verdict = check("gru_step_backward", forward, one_gradient_for_both_biases)
    assert [part.name for part in verdict.parts if part.points == 0] == ["dW_hh and db_hh", "one sequence, one unit"]
    assert verdict.diagnosis.bugs == ("gates_in_the_order_zrn", "one_gradient_for_both_biases")


def test_a_cell_without_its_reset_gate_is_easier_to_send_back_and_pays_nothing():
    def forward(x, h, W_ih, W_hh, b_ih, b_hh):
        _, (*kept, z, _, q_n) = step(x, h, W_ih, W_hh, b_ih, b_hh)
        n = np.tanh(np.split(x @ W_ih.T + b_ih, 3, axis=1)[2] + q_n)
        return (1 - z) * n + z * h, (*kept[:4], np.ones_like(z), z, n, q_n)

    verdict = check("gru_step_backward", forward, step_backward)  # with r = 1 its slope is 0
    assert verdict.points == 0
    assert verdict.diagnosis.bugs == ("reset_gate_forgotten",)


def without_gate_derivatives(dh_next, cache):
    x, h, W_ih, W_hh, r, z, n, q_n = cache
    da_n = dh_next * (1 - z) * (1 - n**2)
    da = np.concatenate([da_n * q_n, dh_next * (h - n), da_n], axis=1)
    dq = np.concatenate([da_n * q_n, dh_next * (h - n), da_n * r], axis=1)
    return da @ W_ih, dh_next * z + dq @ W_hh, da.T @ x, dq.T @ h, da.sum(axis=0), dq.sum(axis=0)


def without_the_kept_share(dh_next, cache):
    dx, dh, *parts = step_backward(dh_next, cache)
    return dx, dh - dh_next * cache[5], *parts


def past_the_reset_gate(dh_next, cache):
    x, h, W_ih, W_hh, r, z, n, q_n = cache
    da_n = dh_next * (1 - z) * (1 - n**2)
    da = np.concatenate([da_n * q_n * r * (1 - r), dh_next * (h - n) * z * (1 - z), da_n], axis=1)
    return da @ W_ih, dh_next * z + da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)


SLIPS = {
    "gate_derivatives_forgotten": (without_gate_derivatives, set()),
    "kept_share_forgotten": (without_the_kept_share, {"dx", "dW_ih and db_ih", "dW_hh and db_hh"}),
    "reset_gate_not_passed": (past_the_reset_gate, {"dx", "dW_ih and db_ih"}),
}


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_in_the_step_back_costs_its_parts_alone_and_only_there(name):
    backward, right = SLIPS[name]
    first = check("gru_step_backward", step, backward)
    assert {part.name for part in first.parts if part.points} == right
    assert first.diagnosis.bugs == (name,)
    second = check("gru_backward", *with_steps(step, backward))
    assert second.points == second.max_points, str(second)
    assert "Nothing is wrong here but the slip in" in second.diagnosis.text


def test_without_the_earlier_slip_the_same_loop_loses_its_points():
    check("gru_step_backward", step, step_backward)
    assert check("gru_backward", *with_steps(step, without_gate_derivatives)).points == 0


def test_a_slip_of_the_loop_itself_is_not_followed():
    check("gru_step_backward", step, without_gate_derivatives)
    forward, backward = with_steps(step, without_gate_derivatives)
    verdict = check("gru_backward", forward, lambda dhs, dh, cache: backward(dhs, 0 * dh, cache))
    assert verdict.points == 0
    assert set(verdict.diagnosis.bugs) == {"last_state_forgotten", "gate_derivatives_forgotten"}


# ---- the notebooks -------------------------------------------------------------------------------------------------


PICTURES = ("look_at_budget", "look_at_gates", "look_at_flow")


def test_the_sources_own_solution_gets_full_marks_learns_and_is_drawn():
    shown = executed(SOURCE)
    for name, question in questions_of("ps5_gru").items():
        assert float(shown[name]["text/plain"]) == question.points
    (loss,) = re.findall(r"the loss is ([\d.]+) nats", shown["train"]["printed"])
    assert float(loss) < 0.15
    same, other = map(float, re.findall(r"[\d.]+e[+-]\d+", shown["two_grus"]["printed"]))
    assert same < 1e-12 < 1e-2 < other
    for picture in (*PICTURES, "story_picture"):
        assert "image/png" in shown[picture]


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps5_gru"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    assert "Nothing to compare yet" in shown["two_grus"]["printed"]
    for picture in PICTURES:
        assert "Nothing to draw yet" in shown[picture]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    assert list(graded.items()) == [(name, q.points) for name, q in questions_of("ps5_gru").items()]
    said = "**Points** | 29: one step 4, one step back 8, over time 5, back through time 8, how many numbers 4"
    assert said in cells["title"].source
    assert sum(graded.values()) == 29


def test_the_locked_cells_ask_as_the_questions_do(cells):
    for name, pair in PAIRS.items():
        assert cells[name].source == f'check("{name}", {", ".join(pair)})'
        assert find(name).backward.forward == pair[0]
        assert find(name).backward.name == pair[1]
    for name, taken in WITHOUT_CACHE.items():
        assert cells[name].source == f'check("{name}", without_cache({name}, {taken}))'
    assert cells["parameter_count"].source.startswith(f"CELLS = {CELLS}".replace("'", '"'))


FORMS = [
    ("gru_step", lambda *inputs: step(*inputs)[0], "it returned one ndarray; expected 2, in this order: h_next, cache"),
    ("gru_step", lambda *inputs: None, "it returned nothing (is a `return` missing?); expected 2"),
    ("gru_step", lambda *inputs: (*step(*inputs), 1), "it returned 3 things; expected 2"),
    ("gru_forward", lambda *inputs: whole(*inputs)[:2], "2 things; expected 3, in this order: hs, h_last, cache"),
    ("gru_forward", lambda *inputs: whole(*inputs)[0], "it returned one ndarray; expected 3"),
]


@pytest.mark.parametrize(("question", "function", "says"), FORMS)
def test_a_forgotten_cache_is_named(cells, question, function, says):
    said = []
    namespace = {"check": lambda *given: said.append(check(*given)), question: function}
    exec(cells["given_checks"].source, namespace)
    exec(cells[question].source, namespace)
    assert said[0].points == 0
    assert says in said[0].diagnosis.text


@pytest.mark.parametrize("question", WITHOUT_CACHE)
def test_with_its_cache_a_right_answer_passes_the_locked_cell(cells, question):
    said = []
    function = {"gru_step": step, "gru_forward": whole}[question]
    namespace = {"check": lambda *given: said.append(check(*given)), question: lambda *inputs: list(function(*inputs))}
    exec(cells["given_checks"].source, namespace)
    exec(cells[question].source, namespace)
    assert said[0].points == said[0].max_points


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
    W_ih, W_hh, b_ih, b_hh = (
        np.array(numbers(re.findall(rf"`{name}` = ([−\d., ]+\d)", text)[0]))
        for name in ("W_ih", "W_hh", "b_ih", "b_hh")
    )
    return W_ih[:, None], W_hh[:, None], b_ih, b_hh


def one(value):
    return np.full((1, 1), float(value))


def test_the_worked_step_is_true(cells):
    weights = given(cells["q1"].source)
    h_next, cache = gru.step_forward(one(1), one(0.5), *weights)
    a, q, u = weights[0].ravel() + weights[2], 0.5 * weights[1].ravel() + weights[3], cache.update
    expected = [*a, *q, *(v.item() for v in (u.r, u.z, u.n, h_next))]
    (line,) = re.findall(r"\n(\| 0\.5 \|.*)", cells["q1"].source)
    np.testing.assert_allclose(numbers(line), expected, atol=5.1e-5)


def test_the_worked_step_tells_the_grus_apart(cells):
    weights = given(cells["q1"].source)
    after, before = (cell.step_forward(one(1), one(0.5), *weights)[0].item() for cell in (gru, gru_before))
    assert abs(after - before) > 0.01


def test_the_worked_step_back_is_true(cells):
    text = cells["q2"].source
    _, cache = gru.step_forward(one(1), one(0.5), *given(cells["q1"].source))
    g, u = gru.step_backward(one(2), cache), cache.update
    dn, da_n = 2 * (1 - u.z), 2 * (1 - u.z) * (1 - u.n**2)
    by_hand = (dn, 2 * (0.5 - u.n), 2 * u.z, da_n, da_n * u.r, da_n * u.q_n)
    expected = [*(v.item() for v in by_hand), *g.db_ih[:2]]
    (line,) = re.findall(r"\n(\| 1\.\d+ \|.*)", text)
    np.testing.assert_allclose(numbers(line), expected, atol=5.1e-5)
    for name, value in (("$dx$", g.dx), ("$dh$", g.dh), ("$da$", g.db_ih), ("$dq$", g.db_hh)):
        said = re.findall(rf"{re.escape(name)} = ([−\d., ]+\d)", text)[0]
        np.testing.assert_allclose(numbers(said), np.ravel(value), atol=5.1e-5)
    np.testing.assert_allclose(g.dW_ih.ravel(), g.db_ih)
    np.testing.assert_allclose(g.dW_hh.ravel(), g.db_hh / 2)


def test_the_worked_sequence_and_its_way_back_are_true(cells):
    weights, x, dhs = given(cells["q1"].source), (1, 0, -1), (0.5, 0, 1)
    table, h, caches = rows(cells["q3"].source), one(0), []
    for t in range(3):
        h, cache = gru.step_forward(one(x[t]), h, *weights)
        caches.append(cache)
        for name, value in {**cache.update._asdict(), "h": h}.items():
            if name in "rznh":
                assert table[f"${name}_t$"][t] == pytest.approx(value.item(), abs=5.1e-5)
    text = cells["q4"].source
    table, dh, total, dxs = rows(text), one(0), 0, []
    for t in (2, 1, 0):
        summed = dh + dhs[t]
        dx, dh_before, *parts = gru.step_backward(summed, caches[t])
        dxs.insert(0, dx.item())
        straight = summed * caches[t].update.z
        column = [values[t] for head, values in table.items() if head.startswith(("own", "$d"))]
        expected = [dhs[t], *(v.item() for v in (dh, summed, straight, dh_before - straight))]
        np.testing.assert_allclose(column, expected, atol=5.1e-5)
        dh, total = dh_before, [np.ravel(part) + (total[k] if total else 0) for k, part in enumerate(parts)]
    np.testing.assert_allclose(numbers(text.split("So $dx$ =")[1].split(";")[0]), dxs, atol=5.1e-5)
    said = numbers(text.split("in the order r, z, n,")[1].replace("dh_0", ""))
    np.testing.assert_allclose(said, [*np.concatenate(total), dh.item()], atol=5.1e-5)


def test_the_worked_count_is_true(cells):
    text = cells["q5"].source
    assert "Together 180." in text
    assert in_one_line(3, 2, "GRU", 2, 2, 2) == 180
    assert (
        in_one_line(128, 256, "GRU", 1, 1, 2) == 296448 == int(re.findall(r"has (\d+,\d+)\.", text)[0].replace(",", ""))
    )
    for _, width, both in ((1, 3, 84), (2, 4, 96)):
        assert in_one_line(width, 2, "GRU", 1, 2, 2) == both
        assert f"| {both} |" in text


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
    sentence, weights = 'f "a b" c', room["weights"].values()
    measured = room["measured"](sentence)
    h = np.zeros((1, room["H"]))
    for t, letter in enumerate(sentence):
        h, cache = gru.step_forward(np.eye(128)[[ord(letter)]], h, *weights)
        u = cache.update
        np.testing.assert_allclose(measured[:, t], np.concatenate([u.z, u.r, u.n, h]), rtol=1e-6, atol=1e-9)


def test_unit_0_does_what_the_text_below_it_says(room):
    z, r, _, h = room["measured"]('theword"yes"meansyes,"no"no')[:, :, 0]
    opening, closing, inside = [7, 21], [11, 24], [8, 9, 10, 22, 23]
    assert np.all(z[opening] < 0.1)
    assert np.all(z[closing] < 0.3)
    assert np.all(z[inside] > 0.95)
    assert np.all(r[opening] < 0.5)
    assert np.all(r[closing] > 0.9)
    assert np.all(h[opening + inside] > 0.5)
    assert np.all(np.delete(h, opening + inside) < -0.4)
    assert np.all(room["measured"]('a"b"c"d"e')[3, :, 0] * np.array([-1, 1, 1, -1, -1, 1, 1, -1, -1]) > 0.4)


def test_the_way_back_is_narrow_at_the_last_mark_that_opens_and_wide_at_those_that_close(room):
    for sentence in ('theword"yes"meansyes,"nomeans', 'a"b"c"d"e', 'theword"yes"means'):
        bars = room["gates"](sentence, 0).panels[2].marks[0].y
        passed = [bars[t - 1] / bars[t] for t, letter in enumerate(sentence) if letter == '"']
        assert passed[::2][-1] < 0.4
        assert min(passed[1::2]) > max(0.7, *passed[::2])


def test_the_last_value_depends_most_on_the_states_since_a_mark_that_opened(room):
    bars = room["gates"]('the word "yes" means yes, "no means', 0).panels[2].marks[0].y
    assert len(bars) == len('theword"yes"meansyes,"nomeans')
    assert bars[21:].min() > 0.9
    assert bars[:21].max() < 0.25


@pytest.mark.parametrize("sentence", ["", "a", '"so "it" goes"', "naïve “ñ” 東京", '"' * 48])
def test_the_gates_are_drawn_for_whatever_is_typed(room, sentence):
    for unit in range(room["H"]):
        for panel in room["gates"](sentence, unit).panels:
            assert all(np.isfinite(mark.y).all() for mark in panel.marks)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("thousands", [20, 100, 200])
def test_a_budget_is_spent_and_not_overdrawn(room, thousands, layers):
    bought = re.findall(r"(RNN|GRU|LSTM) (\d+)", room["budget"](thousands, layers).panels[0].title)
    assert [cell for cell, _ in bought] == list(CELLS)
    for cell, units in bought:
        costs = [in_one_line(128, int(units) + more, cell, layers, 1, 2) for more in (0, 1)]
        assert costs[0] <= 1000 * thousands < costs[1]


def test_the_text_reads_the_budget_right(room, cells):
    gru_units, lstm_units = re.search(r"GRU (\d+), LSTM (\d+)", room["budget"](100, 1).panels[0].title).groups()
    assert f"{gru_units} units against {lstm_units}, a factor of 1.22" in cells["budget_read"].source
    assert int(gru_units) / int(lstm_units) == pytest.approx(1.22, abs=0.005)


@pytest.mark.parametrize("bias", np.arange(-2, 8.5, 0.5))
def test_the_dots_lie_on_the_line_at_every_position_of_the_slider(room, bias):
    sent, measured = room["compared"](bias)
    np.testing.assert_allclose(sent, measured, rtol=1e-2 if bias < 0 else 1e-4)
    assert np.isfinite(sent).all()


def test_an_update_gate_that_keeps_brings_the_gradient_back_and_a_half_open_one_does_not(room):
    assert room["compared"](0.0)[0][-1] == pytest.approx(5e-9, rel=0.1)  # five billionths
    assert room["compared"](4.0)[0][-1] == pytest.approx(0.4, rel=0.05)  # two fifths


def test_a_wrong_backward_lies_off_the_dots(room, monkeypatch):
    forward, backward = with_steps(step, without_the_kept_share)
    monkeypatch.setitem(room, "gru_forward", forward)
    monkeypatch.setitem(room, "gru_backward", backward)
    sent, measured = room["compared"](4.0)
    assert sent[-1] < measured[-1] / 100
