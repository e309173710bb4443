"""Problem set 6: right answers get full marks however they are written, slips are paid for once, examples are true."""

from __future__ import annotations

import itertools
import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograder.check import check
from autograder.questions import find, questions_of
from rnnlib import losses
from rnnlib.cells import rnn
from rnnlib.data import batching
from tests.conftest import ROOT
from tests.grading.habits import given_back, in_float32, in_many_hands, noisy
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps6_masking/ps6_masking.ipynb"
RELEASED = ROOT / "autograder/course/release/ps6_masking/ps6_masking.ipynb"


@pytest.fixture(scope="module")
def judged(cells):
    """Check a learner's functions by a locked cell."""

    def verdict(question, *functions):
        names = ("masked_forward", "masked_backward") if question.startswith("masked_") else (question,)
        names = (question,) if len(functions) == 1 else names
        said = []
        namespace = {
            "np": np,
            "check": lambda *given: said.append(check(*given)),
            **dict(zip(names, functions, strict=True)),
        }
        exec(cells[question].source, namespace)
        return said[0]

    return verdict


# ---- how others write it -------------------------------------------------------------------------------------------


def pad(sequences):
    lengths = np.array([len(sequence) for sequence in sequences])
    padded = np.zeros((lengths.max(), len(sequences), sequences[0].shape[1]))
    for n, sequence in enumerate(sequences):
        padded[: len(sequence), n] = sequence
    return padded, lengths


def pad_stacked(sequences):
    T = max(map(len, sequences))
    return np.stack([np.pad(s, ((0, T - len(s)), (0, 0))) for s in sequences], axis=1), [len(s) for s in sequences]


def pad_zipped(sequences):
    nothing = np.zeros(sequences[0].shape[1])
    steps = itertools.zip_longest(*sequences, fillvalue=nothing)
    return [list(step) for step in steps], tuple(len(s) for s in sequences)


def pad_chosen(sequences):
    lengths = np.array([float(len(s)) for s in sequences])
    box = np.zeros((len(sequences), int(max(lengths)), sequences[0].shape[-1]), order="F")
    box[np.arange(box.shape[1]) < lengths[:, None]] = np.vstack(sequences)
    return box.swapaxes(0, 1), lengths


def valid_mask(lengths, T):
    return np.arange(T)[:, None] < lengths


def mask_looped(lengths, T):
    mask = np.zeros((T, len(lengths)), dtype=bool)
    for n in range(len(lengths)):
        mask[: lengths[n], n] = True
    return mask


def cross_entropy(logits, targets, lengths):
    mask = valid_mask(lengths, len(logits))
    z, y = logits[mask], targets[mask]
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    dz = np.exp(log_p)
    dz[np.arange(len(y)), y] -= 1
    dlogits = np.zeros(logits.shape)
    dlogits[mask] = dz / len(y)
    return -log_p[np.arange(len(y)), y].mean(), dlogits


def cross_entropy_everywhere(logits, targets, lengths):
    """Harmless numbers first; then masks may multiply."""
    V = logits.shape[2]
    m = mask_looped(lengths, len(logits)).astype(float)
    z, y = np.where(m[..., None] == 1, logits, 0.0), np.where(m == 1, targets, 0)
    log_p = z - np.logaddexp.reduce(z, axis=2)[..., None]
    hot = np.eye(V)[y]
    return -(m * (log_p * hot).sum(2)).sum() / m.sum(), (np.exp(log_p) - hot) * m[..., None] / m.sum()


def cross_entropy_looped(logits, targets, lengths):
    loss, dlogits, M = 0.0, np.zeros_like(logits), int(np.sum(lengths))
    for n, L in enumerate(lengths):
        for t in range(L):
            e = np.exp(logits[t, n] - max(logits[t, n]))
            p = e / e.sum()
            loss -= (logits[t, n, targets[t, n]] - max(logits[t, n]) - np.log(e.sum())) / M
            dlogits[t, n] = p / M
            dlogits[t, n, targets[t, n]] -= 1 / M
    return [loss, dlogits]


def cross_entropy_in_place(logits, targets, lengths):
    logits[~valid_mask(lengths, len(logits))] = 0
    targets[~valid_mask(lengths, len(logits))] = 0
    logits -= logits.max(axis=2, keepdims=True)
    total = np.log(np.einsum("tnv->tn", np.exp(logits)))
    logits -= total[:, :, None]
    hot = np.arange(logits.shape[2]) == targets[:, :, None]
    M = lengths.sum()
    loss = -np.sum(logits, where=hot & valid_mask(lengths, len(logits))[:, :, None]) / M
    np.exp(logits, out=logits)
    logits[hot] -= 1
    logits /= M
    logits[~valid_mask(lengths, len(logits))] = 0
    return loss, logits


def bucket(lengths, size):
    order = np.argsort(lengths, kind="stable")
    batches = [order[start : start + size] for start in range(0, len(lengths), size)]
    return batches, 1 - lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in batches)


def bucket_of_lists(lengths, size):
    """Ties the other way round, and every batch from long to short."""
    left, batches, padding, positions = sorted(range(len(lengths)), key=lambda n: (lengths[n], -n)), [], 0, 0
    while left:
        batch, left = left[:size][::-1], left[size:]
        padding += sum(max(lengths[n] for n in batch) - lengths[n] for n in batch)
        positions += len(batch) * max(lengths[n] for n in batch)
        batches.append(batch)
    return batches, float(padding / positions)


def bucket_split(lengths, size):
    batches = np.split(
        np.lexsort((np.random.default_rng().random(len(lengths)), lengths)), range(size, len(lengths), size)
    )
    batches = [batch for batch in batches if len(batch)]
    return tuple(batches), np.float32(1 - lengths.sum() / np.sum([len(b) * max(lengths[b]) for b in batches]))


def bucket_by_mask(lengths, size):
    batches = [np.random.default_rng().permutation(batch) for batch in bucket(lengths, size)[0]]
    masks = [valid_mask(lengths[batch], lengths[batch].max()) for batch in batches]
    return batches, np.mean(np.concatenate([~mask.ravel() for mask in masks]))


def in_order(parts, batches):
    joined = np.concatenate(parts)
    restored = np.empty_like(joined)
    restored[np.concatenate(batches)] = joined
    return restored


def in_order_looped(parts, batches):
    rows = {}
    for part, batch in zip(parts, batches, strict=True):
        for row, n in zip(part, batch, strict=True):
            rows[int(n)] = row
    return [rows[n] for n in range(len(rows))]


def reverse(x, lengths):
    turned = np.zeros(x.shape)
    for n, L in enumerate(lengths):
        turned[:L, n] = x[:L, n][::-1]
    return turned


def reverse_gathered(x, lengths):
    t = np.arange(len(x))[:, None]
    index = np.where(t < lengths, lengths - 1 - t, 0)
    return np.where((t < lengths)[:, :, None], np.take_along_axis(x, index[:, :, None], axis=0), 0)


def reverse_rolled(x, lengths):
    x[~valid_mask(lengths, len(x))] = 0
    for n, L in enumerate(lengths):
        x[:, n] = np.roll(x[::-1, n], L, axis=0)
    return x


def reverse_chosen(x, lengths):
    turned = np.zeros_like(x, order="F")
    turned.swapaxes(0, 1)[valid_mask(lengths, len(x)).T] = np.concatenate(
        [np.flipud(x[:L, n]) for n, L in enumerate(lengths)]
    )
    return turned


ALONE = {
    "pad": in_many_hands(
        pad, stacked=pad_stacked, zipped=pad_zipped, chosen=pad_chosen, library=lambda s: batching.pad(s)
    ),
    "valid_mask": {
        "plain": valid_mask,
        "prints and warnings": noisy(valid_mask),
        "Fortran order": given_back(valid_mask, np.asfortranarray),
        "nested lists": given_back(valid_mask, np.ndarray.tolist),
        "looped": mask_looped,
        "transposed at the end": lambda lengths, T: (np.arange(T) < lengths[:, None]).T,
        "outer": lambda lengths, T: np.less.outer(np.arange(T), lengths),
        "by columns": lambda lengths, T: np.stack([np.arange(T) < L for L in lengths], axis=1),
        "counted down": lambda lengths, T: lengths - np.arange(1, T + 1).reshape(-1, 1) >= 0,
    },
    "masked_cross_entropy": in_many_hands(
        cross_entropy,
        everywhere=cross_entropy_everywhere,
        looped=cross_entropy_looped,
        in_place=cross_entropy_in_place,
        library=losses.cross_entropy,
    ),
    "bucket": {
        "plain": bucket,
        "prints and warnings": noisy(bucket),
        "lists, ties turned round": bucket_of_lists,
        "split, ties by chance": bucket_split,
        "by mask, any order in a batch": bucket_by_mask,
        "a ratio in an array": lambda lengths, size: (bucket(lengths, size)[0], np.array(bucket(lengths, size)[1])),
    },
    "in_order": in_many_hands(
        in_order,
        looped=in_order_looped,
        sorted=lambda parts, batches: np.vstack(parts)[np.argsort(np.concatenate(batches))],
        sorted_pairs=lambda parts, batches: [
            row
            for _, row in sorted(zip(np.concatenate(batches), np.concatenate(parts), strict=True), key=lambda p: p[0])
        ],
    ),
    "reverse": in_many_hands(reverse, gathered=reverse_gathered, rolled=reverse_rolled, chosen=reverse_chosen),
}


# ---- the recurrence, in many hands ---------------------------------------------------------------------------------


def step(x, h, W_ih, W_hh, b_ih, b_hh):
    h_next = np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
    return h_next, (x, h, W_ih, W_hh, h_next)


def step_backward(dh_next, cache):
    x, h, W_ih, W_hh, h_next = cache
    da = dh_next * (1 - h_next**2)
    return da @ W_ih, da @ W_hh, da.T @ x, da.T @ h, da.sum(axis=0), da.sum(axis=0)


def chosen(mask=valid_mask):
    """With the given steps: clean, hold by np.where; any mask."""

    def forward(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):
        m, h, hs, caches = mask(lengths, len(x))[:, :, None], h0, [], []
        for t, x_t in enumerate(np.where(m, x, 0)):
            h_hat, cache = step(x_t, h, W_ih, W_hh, b_ih, b_hh)
            h = np.where(m[t], h_hat, h)
            hs.append(np.where(m[t], h, 0))
            caches.append(cache)
        return np.stack(hs), h, (m, caches)

    def backward(dhs, dh_last, cache):
        m, caches = cache
        dh, dxs, sums = dh_last, [], [0, 0, 0, 0]
        for t in reversed(range(len(dhs))):
            arrived = dh + np.where(m[t], dhs[t], 0)
            dx, through, *parts = step_backward(np.where(m[t], arrived, 0), caches[t])
            dh = np.where(m[t], through, arrived)
            dxs.append(dx)
            sums = [total + part for total, part in zip(sums, parts, strict=True)]
        return np.stack(dxs[::-1]), dh, *sums

    return forward, backward


forward, backward = chosen()


def blended(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):
    """Multiplies, once the padding is harmless."""
    m = valid_mask(lengths, len(x)).astype(float)[:, :, None]
    x = np.where(m > 0, x, 0.0)
    hs = np.zeros((len(x) + 1, *h0.shape))
    hs[0] = h0
    hats = np.zeros((len(x), *h0.shape))
    for t in range(len(x)):
        hats[t] = np.tanh(x[t] @ W_ih.T + hs[t] @ W_hh.T + (b_ih + b_hh))
        hs[t + 1] = m[t] * hats[t] + (1 - m[t]) * hs[t]
    return hs[1:] * m, hs[-1], {"x": x, "m": m, "hs": hs, "hats": hats, "W": (W_ih, W_hh)}


def blended_backward(dhs, dh_last, k):
    """Walks once, multiplies all steps' da at the end."""
    dhs[np.broadcast_to(k["m"] == 0, dhs.shape)] = 0
    W_ih, W_hh = k["W"]
    dh, das = dh_last.copy(), np.zeros(k["hats"].shape)
    for t in range(len(dhs) - 1, -1, -1):
        dh += dhs[t]
        das[t] = k["m"][t] * dh * (1 - k["hats"][t] ** 2)
        dh = das[t] @ W_hh + (1 - k["m"][t]) * dh
    dW_ih, dW_hh = np.einsum("tnh,tnd->hd", das, k["x"]), np.einsum("tnh,tnk->hk", das, k["hs"][:-1])
    return das @ W_ih, dh, dW_ih, dW_hh, das.sum((0, 1)), das.sum((0, 1))


def rows_alive(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):
    """Computes only the rows that still run."""
    h, hs, caches = h0.copy(), np.zeros((len(x), *h0.shape)), []
    for t in range(lengths.max()):
        alive = np.flatnonzero(t < lengths)
        h[alive], cache = step(x[t, alive], h[alive], W_ih, W_hh, b_ih, b_hh)
        hs[t, alive] = h[alive]
        caches.append((alive, cache))
    return hs, h, (caches, x.shape, W_ih.shape, W_hh.shape)


def rows_alive_backward(dhs, dh_last, cache):
    caches, x_shape, ih, hh = cache
    dh, dx, sums = dh_last.copy(), np.zeros(x_shape), [np.zeros(s) for s in (ih, hh, hh[0], hh[0])]
    for t in reversed(range(len(caches))):
        alive, one = caches[t]
        dx[t, alive], dh[alive], *parts = step_backward(dh[alive] + dhs[t, alive], one)
        for total, part in zip(sums, parts, strict=True):
            total += part
    return dx, dh, *sums


def packed(x, h0, *rest):
    """Sorts the longest first, and puts everything back."""
    *weights, lengths = rest
    order = np.argsort(-lengths)
    hs, h, cache = rows_alive(x[:, order], h0[order], *weights, lengths[order])
    back = np.argsort(order)
    return hs[:, back], h[back], (order, cache)


def packed_backward(dhs, dh_last, cache):
    order, inner = cache
    dx, dh, *sums = rows_alive_backward(dhs[:, order], dh_last[order], inner)
    back = np.argsort(order)
    return dx[:, back], dh[back], *sums


def one_by_one(x, h0, *rest):
    """Every sequence by itself, without any padding."""
    *weights, lengths = rest
    hs, lasts, caches = np.zeros((len(x), *h0.shape)), [], []
    for n, L in enumerate(lengths):
        h, mine = h0[n : n + 1], []
        for t in range(L):
            h, cache = step(x[t, n : n + 1], h, *weights)
            hs[t, n] = h[0]
            mine.append(cache)
        lasts.append(h[0])
        caches.append(mine)
    return hs, lasts, (caches, x.shape, weights)


def one_by_one_backward(dhs, dh_last, cache):
    caches, shape, weights = cache
    dx, dh0s, sums = np.zeros(shape), [], [np.zeros(w.shape) for w in weights]
    for n, mine in enumerate(caches):
        dh = dh_last[n : n + 1]
        for t in range(len(mine) - 1, -1, -1):
            dx_t, dh, *parts = step_backward(dhs[t, n] + dh, mine[t])
            dx[t, n] = dx_t[0]
            sums = [a + b for a, b in zip(sums, parts, strict=True)]
        dh0s.append(dh[0])
    return dx, dh0s, *sums


def cleaned_late(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):
    """Lets NaN run into the candidates, and never takes them."""
    h, kept = h0, []
    for t in range(len(x)):
        h_hat, _ = step(x[t], h, W_ih, W_hh, b_ih, b_hh)
        m = (t < lengths)[:, None]
        kept.append((m, x[t], h, h_hat))
        h = np.where(m, h_hat, h)
    states = [before for _, _, before, _ in kept[1:]] + [h]
    return [np.where(k[0], s, 0) for k, s in zip(kept, states, strict=True)], h, (kept, W_ih, W_hh)


def cleaned_late_backward(dhs, dh_last, cache):
    kept, W_ih, W_hh = cache
    dh, dxs, dW_ih, dW_hh, db = dh_last, [], 0, 0, 0
    for t in reversed(range(len(kept))):
        m, x, before, h_hat = kept[t]
        dh = np.where(m, dhs[t] + dh, dh)
        da = np.where(m, dh * (1 - h_hat**2), 0)
        dxs.insert(0, da.dot(W_ih))
        dW_ih, dW_hh, db = dW_ih + da.T.dot(np.where(m, x, 0)), dW_hh + da.T.dot(before), db + da.sum(0)
        dh = np.where(m, da.dot(W_hh), dh)
    return dxs, dh, dW_ih, dW_hh, db, db.copy()


def spoiling(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):
    """Writes over its inputs wherever it can."""
    m = valid_mask(lengths, len(x))
    x[~m] = 0
    begin, hs, caches = h0.copy(), np.empty((len(x), *h0.shape), order="F"), []
    for t in range(len(x)):
        before = h0.copy()
        np.copyto(h0, step(x[t], before, W_ih, W_hh, b_ih, b_hh)[0], where=m[t][:, None])
        hs[t] = h0
        caches.append((m[t][:, None], (x[t], before, W_ih, W_hh, h0.copy())))
    hs[~m] = 0
    return hs, h0, (caches, begin)


def spoiling_backward(dhs, dh_last, cache):
    dxs, sums = [], None
    for t in reversed(range(len(dhs))):
        m, one = cache[0][t]
        dhs[t][~m[:, 0]] = 0
        dh_last += dhs[t]
        dx, through, *parts = step_backward(dh_last * m, one)
        np.copyto(dh_last, through, where=m)
        dxs.append(dx)
        sums = parts if sums is None else [np.add(a, b) for a, b in zip(sums, parts, strict=True)]
    return dxs[::-1], dh_last, *sums


class Gradients(NamedTuple):
    dx: Any
    dh0: Any
    dW_ih: Any
    dW_hh: Any
    db_ih: Any
    db_hh: Any


def closing_over(*inputs):
    hs, h, cache = forward(*inputs)
    return hs, h, lambda dhs, dh_last: backward(dhs, dh_last, cache)


PAIRS = {
    "np.where": (forward, backward),
    "another mask": chosen(mask_looped),
    "multiplied, once clean": (blended, blended_backward),
    "rows that are alive": (rows_alive, rows_alive_backward),
    "packed": (packed, packed_backward),
    "one by one": (one_by_one, one_by_one_backward),
    "cleaned late": (cleaned_late, cleaned_late_backward),
    "in place, inputs spoilt": (spoiling, spoiling_backward),
    "a function for a cache": (closing_over, lambda dhs, dh_last, cache: cache(dhs, dh_last)),
    "recomputing": (
        lambda *inputs: (*forward(*inputs)[:2], inputs),
        lambda dhs, dh_last, inputs: backward(dhs, dh_last, forward(*inputs)[2]),
    ),
    "a named tuple": (forward, lambda *given: Gradients(*backward(*given))),
    "nested lists": (forward, given_back(backward, np.ndarray.tolist)),
    "Fortran order": (forward, given_back(backward, np.asfortranarray)),
    "prints and warnings": (noisy(forward), noisy(backward)),
    "float32": (in_float32(forward), in_float32(backward)),
    "the library's": (rnn.forward, rnn.backward),
}

VARIANTS = [
    *(pytest.param(q, (f,), id=f"{q}: {how}") for q, ways in ALONE.items() for how, f in ways.items()),
    *(pytest.param("masked_forward", pair[:1], id=f"masked_forward: {how}") for how, pair in PAIRS.items()),
    *(pytest.param("masked_backward", pair, id=f"masked_backward: {how}") for how, pair in PAIRS.items()),
]


@pytest.mark.parametrize(("question", "functions"), VARIANTS)
def test_a_correct_solution_gets_full_marks_however_it_is_written(judged, question, functions):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = judged(question, *functions)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


# ---- learners' slips, as they write them ---------------------------------------------------------------------------


def multiplied(x, h0, W_ih, W_hh, b_ih, b_hh, lengths):
    h, hs = h0, []
    for t in range(len(x)):
        m = (t < lengths)[:, None]
        h = m * step(x[t], h, W_ih, W_hh, b_ih, b_hh)[0] + (1 - m) * h
        hs.append(np.where(m, h, 0))
    return np.stack(hs), h, None


def read_at_the_end(*inputs):
    hs, _, cache = forward(*inputs)
    return hs, hs[-1], cache


def held_shown(*inputs):
    hs, h, cache = forward(*inputs)
    mask, shown = cache[0], []
    for t in range(len(hs)):
        shown.append(np.where(mask[t], hs[t], shown[-1] if t else inputs[1]))
    return np.stack(shown), h, cache


def mask_ignored(*inputs):
    return forward(*inputs[:-1], np.full(len(inputs[1]), len(inputs[0])))


def one_too_long(lengths, T):
    return np.arange(T)[:, None] <= lengths


SLIPS = [
    ("pad", lambda s: (pad(s)[0].swapaxes(0, 1), pad(s)[1]), "batch_first", {"padded", "one sequence, an empty one"}),
    ("pad", lambda s: batching.pad(sorted(s, key=len)), "shortest_first", {p.name for p in find("pad").parts}),
    ("valid_mask", one_too_long, "mask_one_too_long", {p.name for p in find("valid_mask").parts}),
    (
        "valid_mask",
        lambda lengths, T: valid_mask(lengths, T).astype(int),
        "mask_of_whole_numbers",
        {"what it chooses", "lengths of 0 and of T, one sequence"},
    ),
    (
        "valid_mask",
        lambda lengths, T: valid_mask(lengths, T).T,
        "mask_transposed",
        {p.name for p in find("valid_mask").parts},
    ),
    (
        "masked_forward",
        multiplied,
        "blended_by_multiplication",
        {"h_last", "lengths of 0 and of T, one sequence"},
    ),
    ("masked_forward", read_at_the_end, "last_state_is_zero", {"h_last", "lengths of 0 and of T, one sequence"}),
    ("masked_forward", held_shown, "held_states_shown", {"hs", "lengths of 0 and of T, one sequence"}),
    ("masked_forward", mask_ignored, "mask_forgotten", {p.name for p in find("masked_forward").parts}),
    (
        "masked_cross_entropy",
        lambda z, y, L: [part * L.sum() / y.size for part in cross_entropy(z, y, L)],
        "averaged_over_all_positions",
        {p.name for p in find("masked_cross_entropy").parts},
    ),
    (
        "masked_cross_entropy",
        lambda z, y, L: losses.cross_entropy(z, y % z.shape[2]),
        "mask_forgotten",
        {p.name for p in find("masked_cross_entropy").parts},
    ),
    (
        "bucket",
        lambda lengths, size: (bucket(lengths, size)[0], batching.padding_ratio(lengths)),
        "ratio_without_buckets",
        {"the padding ratio", "one batch, batches of one, empty sequences"},
    ),
    ("in_order", lambda parts, batches: np.concatenate(parts), "only_joined", {p.name for p in find("in_order").parts}),
    (
        "reverse",
        lambda x, lengths: x[::-1],
        "padding_reversed_too",
        {p.name for p in find("reverse").parts},
    ),
]


@pytest.mark.parametrize(("question", "function", "name", "lost"), SLIPS, ids=[slip[2] for slip in SLIPS])
def test_a_slip_as_it_is_really_written_hears_its_name_and_loses_just_its_parts(judged, question, function, name, lost):
    with np.errstate(all="ignore"):
        verdict = judged(question, function)
    assert verdict.diagnosis.bugs == (name,), str(verdict)
    assert {part.name for part in verdict.parts if part.points < part.max_points} == lost


def test_a_wrong_mask_is_paid_for_once(judged):
    assert judged("valid_mask", one_too_long).points == 0
    forward, backward = chosen(one_too_long)
    for question, functions in (("masked_forward", (forward,)), ("masked_backward", (forward, backward))):
        verdict = judged(question, *functions)
        assert verdict.points == verdict.max_points, str(verdict)
        assert "Nothing is wrong here but the slip in" in verdict.diagnosis.text


def test_with_a_right_mask_the_same_recurrence_loses_its_points(judged):
    judged("valid_mask", valid_mask)
    assert judged("masked_forward", chosen(one_too_long)[0]).points == 0


def test_the_way_back_of_a_network_that_shows_what_it_holds_is_paid(judged):
    def back(dhs, dh_last, cache):
        m, caches = cache
        dh, dxs, sums = dh_last, [], [0, 0, 0, 0]
        for t in reversed(range(len(dhs))):
            arrived = dh + dhs[t]
            dx, through, *parts = step_backward(np.where(m[t], arrived, 0), caches[t])
            dh = np.where(m[t], through, arrived)
            dxs.append(dx)
            sums = [total + part for total, part in zip(sums, parts, strict=True)]
        return np.stack(dxs[::-1]), dh, *sums

    verdict = judged("masked_backward", held_shown, back)
    assert [part.name for part in verdict.parts if part.points == 0] == [verdict.parts[-1].name]  # the edge cases
    assert "held_states_shown" in verdict.diagnosis.bugs


def zeros_read(x, *rest):
    """Puts zeros in place of the padding, and reads them like data."""
    return mask_ignored(np.where(valid_mask(rest[-1], len(x))[:, :, None], x, 0), *rest)


@pytest.mark.parametrize(
    ("function", "name"), [(mask_ignored, "mask_forgotten"), (zeros_read, "mask_on_the_input_alone")]
)
def test_without_a_mask_the_way_back_is_easier_and_pays_nothing(judged, function, name):
    verdict = judged("masked_backward", function, backward)
    assert verdict.points == 0
    assert verdict.diagnosis.bugs == (name,)


def test_a_batch_that_names_nobody_twice_and_forgets_nobody_is_asked_for(judged):
    """Batches that hold a sequence twice, or one that is not there, lose points and stop nothing."""
    twice = judged("bucket", lambda lengths, size: ([[0, 0]], 0.0))
    stranger = judged("bucket", lambda lengths, size: ([[len(lengths)]], 0.0))
    assert twice.points == stranger.points == 0
    assert "IndexError" in str(stranger)


# ---- the notebooks -------------------------------------------------------------------------------------------------


def test_the_sources_own_solution_gets_full_marks_learns_and_is_drawn():
    shown = executed(SOURCE)
    for name, question in questions_of("ps6_masking").items():
        assert float(shown[name]["text/plain"]) == question.points
    assert re.findall(r"[\d.]+e[+-]\d+", shown["invariance"]["printed"]) == ["0.0e+00"] * 3
    first, last = re.findall(r"([\d.]+) nats a frame at first, ([\d.]+) at last", shown["train"]["printed"])[0]
    assert float(last) < 0.5 < 2 < float(first)
    masked, unmasked = map(int, re.findall(r"(\d+)% of 370 utterances", shown["test"]["printed"]))
    assert masked > 80
    assert unmasked < masked - 30
    for picture in ("story_picture", "own_mask", "turned", "hear", "look_at_buckets"):
        assert "image/png" in shown[picture]


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps6_masking"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    for cell in ("own_mask", "turned"):
        assert "Nothing to draw yet" in shown[cell]["printed"]
    assert "Nothing to compare yet" in shown["invariance"]["printed"]
    for cell in ("hear", "look_at_buckets"):
        assert "Nothing to hear yet" in shown[cell]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    assert list(graded.items()) == [(name, q.points) for name, q in questions_of("ps6_masking").items()]
    said = re.findall(r"\*\*Points\*\* \| (\d+): (.*) \|", cells["title"].source)[0]
    assert int(said[0]) == sum(graded.values())
    assert [int(n) for n in re.findall(r"\d+", said[1])] == list(graded.values())


def test_the_locked_cell_asks_for_a_pair_as_the_question_does(cells):
    asked = find("masked_backward").backward
    assert cells["masked_backward"].source == f'check("masked_backward", {asked.forward}, {asked.name})'


# ---- worked examples -----------------------------------------------------------------------------------------------


def table(text):
    """The table rows of a text, by first entry: the other entries."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return {head.strip(): [entry.strip() for entry in entries] for head, *entries in rows}


def numbers(entries):
    return [float(entry.replace("−", "-")) for entry in entries]


@pytest.fixture(scope="module")
def three():
    """The sequences a, b and c, padded by the library."""
    return batching.pad([np.array(s, float)[:, None] for s in ([1, 2, 3], [4], [5, 6])])


def test_the_worked_batch_its_mask_and_its_reverse_are_true(cells, three):
    padded, lengths = three
    assert f"`lengths` is {', '.join(map(str, lengths))}" in cells["q1"].source
    for cell, expected in (("q1", padded), ("q8", reverse(*three))):
        steps = [numbers(row) for head, row in table(cells[cell].source).items() if head.startswith("step")]
        assert steps == expected[:, :, 0].tolist()
    ticks = [row for head, row in table(cells["q2"].source).items() if head.startswith("step")]
    assert [[tick == "✓" for tick in row] for row in ticks] == valid_mask(lengths, 4).tolist()


def test_the_worked_sequence_and_its_way_back_are_true(cells):
    one = np.ones((1, 1))
    x, lengths = np.array([1, -1, np.nan]).reshape(3, 1, 1), np.array([2])
    hs, h_last, cache = forward(x, 0.5 * one, one, 0.5 * one, np.zeros(1), np.zeros(1), lengths)
    rows = table(cells["q3"].source)
    np.testing.assert_allclose(numbers(rows["$hs_t$, shown"]), hs.ravel(), atol=5.1e-5)
    np.testing.assert_allclose(numbers(rows["$h_t$, carried on"]), [*hs[:2].ravel(), h_last.item()], atol=5.1e-5)
    np.testing.assert_allclose(numbers(rows[r"$\hat h_t$"][:2]), hs[:2].ravel(), atol=5.1e-5)
    assert f"$h_{{last}}$ = {h_last.item():.4f}".replace("-", "−") in cells["q3"].source

    dhs = np.array([1, 0.5, 7]).reshape(3, 1, 1)
    dx, dh0, dW_ih, dW_hh, db, _ = (part.ravel() for part in backward(dhs, 2 * one, cache))
    rows = {head: numbers(row) for head, row in table(cells["q4"].source).items() if "$dh_t$" in head or "$da" in head}
    later, summed, da = rows.values()
    np.testing.assert_allclose(da, dx, atol=5.1e-5)
    np.testing.assert_allclose(np.array(summed) - later, [1, 0.5, 0], atol=1.1e-4)
    np.testing.assert_allclose(later, [0.5 * da[1], 2, 2], atol=5.1e-5)
    said = re.findall(r"\$d(?:W_\{\w+\}|b|h_0)\$ = (−?[\d.]+\d)", cells["q4"].source)
    np.testing.assert_allclose(numbers(said), [*dW_ih, *dW_hh, *db, *dh0], atol=5.1e-5)


def test_the_worked_loss_is_true(cells):
    rows = [row for head, row in table(cells["q5"].source).items() if head.startswith("step")]
    rows = [rows[0], rows[2], rows[1], rows[3]]  # as (step, sequence) run
    logits = np.array([[float(z) for z in row[0].split(",")] for row in rows]).reshape(2, 2, 2)
    targets = np.array([int(row[1]) for row in rows]).reshape(2, 2)
    loss, dlogits = losses.cross_entropy(logits, targets, [2, 1])
    np.testing.assert_allclose([numbers(row[4].split(",")) for row in rows], dlogits.reshape(4, 2), atol=5.1e-5)
    said = re.findall(r"The loss is ([\d.]+\d)\. .*?it would be ([\d.]+\d); .*? ([\d.]+\d)\.", cells["q5"].source)[0]
    a, c, b = numbers(row[3] for row in rows[:3])  # two steps of the first sequence, one of the second
    np.testing.assert_allclose(numbers(said), [loss, loss * 3 / 4, ((a + b) / 2 + c) / 2], atol=1e-4)


def test_the_worked_buckets_are_true_and_so_is_their_order(cells):
    lengths = np.array([3, 9, 4, 8, 5])
    batches, ratio = bucket(lengths, 2)
    rows = table(cells["q6"].source)
    for k, batch in enumerate(batches, 1):
        sequences, steps, positions = rows[str(k)]
        assert sequences == ", ".join(map(str, batch))
        assert steps == ", ".join(map(str, lengths[batch]))
        assert int(positions) == len(batch) * lengths[batch].max()
    as_they_came = 1 - 29 / (2 * 9 + 2 * 8 + 5)
    said = re.findall(r"0\.\d+", cells["q6"].source.split("29 of 33")[1])
    np.testing.assert_allclose(numbers(said), [ratio, as_they_came, batching.padding_ratio(lengths)], atol=5.1e-5)
    listed = str([batch.tolist() for batch in batches])[1:-1]
    assert listed in cells["q7"].source
    rows = in_order([np.array([[1.0], [2]]), np.array([[3.0], [4]]), np.array([[5.0]])], batches)
    assert f"you make {', '.join(' abcde'[int(row)] for row in rows[:, 0])}" in cells["q7"].source


# ---- the learner's pictures ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def room(cells):
    """The names that the source's cells leave behind: solution, training and pictures, all of them run once."""
    names: dict[str, Any] = {"__name__": "__main__", "check": lambda *anything: None, "np": np}
    names["display"] = lambda *scenes: None
    for cell in cells.values():
        if cell.cell_type == "code" and cell.id not in ("install", "setup"):
            exec(cell.source, names)
    return names


def lines(scene):
    return {mark.label: mark for mark in scene.panels[0].marks}


@pytest.mark.parametrize("filling", ["zeros", "ones", "NaN"])
def test_with_the_mask_the_answer_stands_still_where_the_utterance_ends(room, filling):
    for k in (0, 178, 369):
        drawn, L = lines(room["listen"](k, filling)), room["test"].lengths[k]
        masked, naive = drawn["with yours"].y, drawn["without a mask"].y
        assert np.all(masked[L:] == masked[L - 1])
        np.testing.assert_array_equal(masked[:L], naive[:L])
        assert np.isnan(naive[L:]).all() if filling == "NaN" else not np.allclose(naive[L:], masked[L:], atol=1e-3)


def test_the_picture_of_a_learner_without_a_mask_drifts(room, monkeypatch):
    monkeypatch.setitem(room, "masked_forward", mask_ignored)
    masked = lines(room["listen"](178, "zeros"))["with yours"].y
    L = room["test"].lengths[178]
    assert not np.allclose(masked[L:], masked[L - 1]) or masked[L - 1] == pytest.approx(masked[L - 2])


@pytest.mark.parametrize("size", [5, 30, 135, 270])
def test_the_padding_that_is_drawn_is_the_ratio_that_was_computed(room, size):
    lengths = room["train"].lengths
    drawn = room["laid_out"](size, "your buckets").panels[0].marks[0].matrix
    assert np.nansum(drawn > 0) / np.isfinite(drawn).sum() == pytest.approx(bucket(lengths, size)[1])
    assert np.nansum(drawn < 0) == lengths.sum()
    by_chance = room["laid_out"](size, "as it happens").panels[0].marks[0].matrix
    assert np.nansum(by_chance > 0) >= np.nansum(drawn > 0)
