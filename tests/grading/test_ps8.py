"""Problem set 8: right answers get full marks however they are written, slips are paid for once, examples are true."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest

from autograder.check import check
from autograder.questions import find, questions_of
from rnnlib import attention
from tests.conftest import ROOT
from tests.grading.habits import given_back, in_float32, in_many_hands, noisy
from tests.grading.shown import executed

SOURCE = ROOT / "autograder/course/source/ps8_attention/ps8_attention.ipynb"
RELEASED = ROOT / "autograder/course/release/ps8_attention/ps8_attention.ipynb"
PAIRS_OF = {"dot_backward": "dot_forward", "additive_backward": "additive_forward"}


@pytest.fixture(scope="module")
def judged(cells):
    """Check a learner's functions by a locked cell."""

    def verdict(question, *functions):
        names = (PAIRS_OF[question], question) if question in PAIRS_OF else (question,)
        said = []
        namespace = {"np": np, "check": lambda *given: said.append(check(*given))}
        exec(cells["given_checks"].source, namespace)
        namespace |= dict(zip(names, functions, strict=True))
        exec(cells[question].source, namespace)
        return said[0]

    return verdict


# ---- how others write it -------------------------------------------------------------------------------------------


def masked_softmax(scores, lengths):
    mask = np.arange(scores.shape[1]) < lengths[:, None]
    masked = np.where(mask, scores, -np.inf)
    largest = np.where(mask.any(axis=1, keepdims=True), masked.max(axis=1, keepdims=True), 0)
    e = np.exp(masked - largest)
    total = e.sum(axis=1, keepdims=True)
    return e / np.where(total > 0, total, 1)


def softmax_looped(scores, lengths):
    weights = np.zeros_like(scores)
    for n, L in enumerate(lengths):
        if L > 0:
            e = np.exp(scores[n, :L] - scores[n, :L].max())
            weights[n, :L] = e / e.sum()
    return weights


def softmax_in_place(scores, lengths):
    """Writes over its scores; a very negative number for -inf, and empty rows set to zero in the end."""
    mask = np.arange(scores.shape[1])[None] < lengths.reshape(-1, 1)
    scores[~mask] = -1e9
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    scores[~mask] = 0
    return scores


def softmax_of_logarithms(scores, lengths):
    mask = np.arange(scores.shape[1]) < lengths[:, None]
    masked = np.where(mask, scores, -np.inf)
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.exp(masked - np.logaddexp.reduce(masked, axis=1)[:, None]), nan=0.0)


def softmax_transposed(scores, lengths):
    """Time first, and back at the end."""
    s = np.where(np.arange(scores.shape[1])[:, None] < lengths, scores.T, -np.inf)
    e = np.exp(s - np.nan_to_num(s.max(axis=0), neginf=0.0))
    total = e.sum(axis=0)
    return np.divide(e, total, out=np.zeros_like(e), where=total > 0).T


def softmax_backward(dweights, weights):
    dweights = np.where(weights != 0, dweights, 0)
    return weights * (dweights - (weights * dweights).sum(axis=1, keepdims=True))


def backward_by_jacobian(dweights, weights):
    dweights, out = np.nan_to_num(dweights), np.zeros_like(weights)
    for n, w in enumerate(weights):
        out[n] = (np.diag(w) - np.outer(w, w)) @ dweights[n]
    return out


def backward_in_place(dweights, weights):
    dweights[weights == 0] = 0
    dweights *= weights
    dweights -= weights * np.einsum("nt->n", dweights)[:, None]
    return dweights


def backward_looped(dweights, weights):
    rows = []
    for dw, w in zip(dweights, weights, strict=True):
        each = [a * b if b > 0 else 0.0 for a, b in zip(dw, w, strict=True)]
        rows.append([x - b * sum(each) for x, b in zip(each, w, strict=True)])
    return rows


def scheduled_inputs(logits, targets, bos, epsilon, u):
    first = np.full((1, targets.shape[1]), bos)
    said = np.concatenate([first, logits.argmax(axis=-1)[:-1]])
    return np.where(u < epsilon, np.concatenate([first, targets[:-1]]), said)


def inputs_looped(logits, targets, bos, epsilon, u):
    T, N = targets.shape
    inputs = np.zeros((T, N))
    inputs[0] = bos
    for t in range(1, T):
        for n in range(N):
            inputs[t, n] = targets[t - 1, n] if epsilon > u[t, n] else np.argmax(logits[t - 1, n])
    return inputs


def inputs_in_place(logits, targets, bos, epsilon, u):
    own = ~(u[1:] < epsilon)
    shifted = np.vstack([[bos] * len(u[0]), targets[:-1]])
    shifted[1:][own] = np.argmax(logits, 2)[:-1][own]
    return shifted


def inputs_rolled(logits, targets, bos, epsilon, u):
    mixed = np.where(np.roll(u, -1, axis=0) < epsilon, targets, np.argsort(logits, axis=2)[..., -1])
    mixed = np.roll(mixed, 1, axis=0)
    mixed[0] = bos
    return mixed.astype(float)


def truth_probability(i, start, slope, floor, base, k):
    return np.maximum(floor, start - slope * i), base**i, k / (k + np.exp(i / k))


def probability_looped(i, start, slope, floor, base, k):
    curves = [[], [], []]
    for one in i:
        curves[0].append(max(float(floor), float(start - one * slope)))
        curves[1].append(float(base) ** int(one))
        curves[2].append(float(1 / (1 + np.exp(one / k) / k)))
    return curves


def greedy_decode(step, state, N, bos, eos, max_steps):
    tokens, running, ids, lengths = np.full(N, bos), np.ones(N, bool), [], np.zeros(N, int)
    while running.any() and len(ids) < max_steps:
        logits, state = step(tokens, state)
        tokens = np.where(running, logits.argmax(axis=1), 0)
        ids.append(tokens)
        lengths += running
        running &= tokens != eos
    return np.stack(ids), lengths


def greedy_cut_at_the_end(step, state, N, bos, eos, max_steps):
    """Writes on, and cuts at each EOS afterwards."""
    tokens, ids = np.array([bos] * N), np.zeros((max_steps, N), int)
    for t in range(max_steps):
        logits, state = step(tokens, state)
        tokens = ids[t] = np.argmax(logits, -1)
    ended = ids == eos
    lengths = np.where(ended.any(axis=0), ended.argmax(axis=0) + 1, max_steps)
    ids[np.arange(max_steps)[:, None] >= lengths] = 0
    return ids[: lengths.max()], lengths


def greedy_with_lists(step, state, N, bos, eos, max_steps):
    columns, tokens = [[] for _ in range(N)], np.full(N, bos)
    for _ in range(max_steps):
        logits, state = step(tokens, state)
        tokens = np.array([int(np.argmax(row)) for row in logits])
        for column, token in zip(columns, tokens, strict=True):
            if not column or column[-1] != eos:
                column.append(int(token))
        if all(column[-1] == eos for column in columns):
            break
    lengths = [len(column) for column in columns]
    return [[c[t] if t < len(c) else 0 for c in columns] for t in range(max(lengths))], tuple(lengths)


def greedy_by_recursion(step, state, N, bos, eos, max_steps):
    def on(tokens, state, running, left):
        logits, state = step(tokens, state)
        tokens = logits.argmax(axis=1) * running
        rest = running & (tokens != eos)
        return [tokens, *(on(tokens, state, rest, left - 1) if left > 1 and rest.any() else [])]

    ids = np.array(on(np.full(N, bos), state, np.ones(N, bool), max_steps), float)
    ends = (ids == eos).argmax(axis=0) + 1
    return ids, np.where((ids == eos).any(axis=0), ends, len(ids))


ALONE = {
    "masked_softmax": in_many_hands(
        masked_softmax,
        looped=softmax_looped,
        in_place=softmax_in_place,
        logarithms=softmax_of_logarithms,
        transposed=softmax_transposed,
        library=attention.masked_softmax,
    ),
    "softmax_backward": in_many_hands(
        softmax_backward,
        jacobian=backward_by_jacobian,
        in_place=backward_in_place,
        looped=backward_looped,
        library=attention.masked_softmax_backward,
    ),
    "scheduled_inputs": in_many_hands(
        scheduled_inputs, looped=inputs_looped, in_place=inputs_in_place, rolled=inputs_rolled
    ),
    "truth_probability": in_many_hands(truth_probability, looped=probability_looped),
    "greedy_decode": {
        "plain": greedy_decode,
        "prints and warnings": noisy(greedy_decode),
        "nested lists": given_back(greedy_decode, np.ndarray.tolist),
        "Fortran order": given_back(greedy_decode, np.asfortranarray),
        "cut at the end": greedy_cut_at_the_end,
        "lists": greedy_with_lists,
        "recursion": greedy_by_recursion,
    },
}


# ---- attention, in many hands --------------------------------------------------------------------------------------


def dot(softmax=masked_softmax, back=softmax_backward):
    """A pair with any softmax and any way back through it."""

    def forward(query, keys, values, lengths):
        held = (np.arange(len(keys))[:, None] < lengths)[:, :, None]
        keys, values = np.where(held, keys, 0), np.where(held, values, 0)
        scores = np.einsum("nd,tnd->nt", query, keys) / np.sqrt(query.shape[1])
        weights = softmax(scores, lengths)
        return np.einsum("nt,tnv->nv", weights, values), weights, (query, keys, values, weights)

    def backward(dcontext, cache):
        query, keys, values, weights = cache
        dscores = back(np.einsum("nv,tnv->nt", dcontext, values), weights) / np.sqrt(query.shape[1])
        dvalues = np.einsum("nt,nv->tnv", weights, dcontext)
        return np.einsum("nt,tnd->nd", dscores, keys), np.einsum("nt,nd->tnd", dscores, query), dvalues

    return forward, backward


def dot_one_by_one(query, keys, values, lengths):
    """Every sequence by itself, without its padding."""
    (T, N, _), Dv = keys.shape, values.shape[2]
    context, weights = np.zeros((N, Dv)), np.zeros((N, T))
    for n, L in enumerate(lengths):
        if L:
            scores = keys[:L, n] @ query[n] / query.shape[1] ** 0.5
            weights[n, :L] = softmax_looped(scores[None], np.array([L]))[0]
            context[n] = weights[n, :L].dot(values[:L, n])
    return context, weights, (query, keys, values, lengths, weights)


def dot_one_by_one_backward(dcontext, cache):
    query, keys, values, lengths, weights = cache
    dquery, dkeys, dvalues = np.zeros(query.shape), np.zeros(keys.shape), np.zeros(values.shape)
    for n, L in enumerate(lengths):
        w = weights[n, :L]
        dvalues[:L, n] = np.outer(w, dcontext[n])
        ds = (np.diag(w) - np.outer(w, w)) @ (values[:L, n] @ dcontext[n]) / np.sqrt(len(query[n]))
        dquery[n] = ds @ keys[:L, n]
        dkeys[:L, n] = np.outer(ds, query[n])
    return dquery, dkeys, dvalues


def dot_batched(query, keys, values, lengths):
    """Sequences first, as a batch of matrices; nothing is cleaned before the product."""
    k, u = keys.transpose(1, 2, 0), np.nan_to_num(values.swapaxes(0, 1).copy())
    u[np.arange(len(keys)) >= lengths[:, None]] = 0
    weights = masked_softmax((query[:, None] @ k)[:, 0] / np.sqrt(k.shape[1]), lengths)
    return (weights[:, None] @ u)[:, 0], weights, {"q": query, "k": k, "u": u, "w": weights}


def dot_batched_backward(dcontext, c):
    ds = softmax_backward((c["u"] @ dcontext[:, :, None])[:, :, 0], c["w"]) * c["q"].shape[1] ** -0.5
    k = np.where(c["w"][:, None] != 0, c["k"], 0)
    dk = ds[:, :, None] * c["q"][:, None]
    return (k @ ds[:, :, None])[..., 0], dk.swapaxes(0, 1), (c["w"][:, :, None] * dcontext[:, None]).swapaxes(0, 1)


def dot_spoiling(query, keys, values, lengths):
    """Writes over its inputs: the query is scaled, the padding zeroed, the keys turned into products."""
    padding = np.arange(len(keys))[:, None] >= lengths
    keys[padding] = values[padding] = 0
    kept = keys.copy()
    query /= np.sqrt(query.shape[1])
    keys *= query
    weights = softmax_in_place(keys.sum(axis=2).T, lengths)
    return (weights.T[:, :, None] * values).sum(axis=0), weights.copy(), (query, kept, values, weights)


def dot_spoiling_backward(dcontext, cache):
    query, keys, values, weights = cache
    dvalues = weights.T[:, :, None] * dcontext
    values *= dcontext
    ds = backward_in_place(values.sum(axis=2).T, weights).T[:, :, None]
    D = query.shape[1]
    return (ds * keys).sum(axis=0) / np.sqrt(D), ds * query, dvalues  # the query was divided before


def library_dot(query, keys, values, lengths):
    context, weights, cache = attention.dot_forward(query[None], attention.remember(keys, values, lengths))
    return context[0], weights[0], cache


def library_dot_backward(dcontext, cache):
    dqueries, dkeys, dvalues = attention.dot_backward(dcontext[None], cache)
    return dqueries[0], dkeys, dvalues


def additive(softmax=masked_softmax, back=softmax_backward):
    """A pair with any softmax and any way back through it."""

    def forward(query, states, W_query, W_key, v, lengths):
        s = np.where((np.arange(len(states))[:, None] < lengths)[:, :, None], states, 0)
        a = np.tanh(query @ W_query.T + s @ W_key.T)
        weights = softmax((a @ v).T, lengths)
        return np.einsum("nt,tnd->nd", weights, s), weights, (query, s, W_query, W_key, v, a, weights)

    def backward(dcontext, cache):
        query, s, W_query, W_key, v, a, weights = cache
        ds = back(np.einsum("nd,tnd->nt", dcontext, s), weights)
        dz = ds.T[:, :, None] * v * (1 - a**2)
        dp = dz.sum(axis=0)
        dstates = dz @ W_key + np.einsum("nt,nd->tnd", weights, dcontext)
        return dp @ W_query, dstates, dp.T @ query, np.einsum("tna,tnd->ad", dz, s), np.einsum("nt,tna->a", ds, a)

    return forward, backward


def additive_step_by_step(query, states, W_query, W_key, v, lengths):
    """One encoder step after the other."""
    states = np.where(np.isnan(states), 0.0, states)
    asked, kept, scores = query.dot(W_query.T), [], []
    for t, s in enumerate(states):
        s = s * (t < lengths)[:, None]
        a = np.tanh(asked + s.dot(W_key.T))
        kept.append((s, a))
        scores.append(a.dot(v))
    weights = softmax_transposed(np.stack(scores, axis=1), lengths)
    context = sum(weights[:, t, None] * s for t, (s, _) in enumerate(kept))
    return context, weights, [kept, weights, query, W_query, W_key, v]


def additive_step_by_step_backward(dcontext, cache):
    kept, weights, query, W_query, W_key, v = cache
    ds = backward_looped(np.stack([(s * dcontext).sum(axis=1) for s, _ in kept], axis=1), weights)
    ds = np.array(ds)
    dasked, dW_key, dv, dstates = 0, np.zeros(W_key.shape), np.zeros(v.shape), []
    for t in reversed(range(len(kept))):
        s, a = kept[t]
        dv += ds[:, t] @ a
        dz = np.outer(ds[:, t], v) * (1 - a * a)
        dW_key += dz.T @ s
        dasked = dasked + dz
        dstates.insert(0, dz @ W_key + weights[:, t, None] * dcontext)
    return dasked @ W_query, dstates, dasked.T @ query, dW_key, dv


def additive_joined(query, states, W_query, W_key, v, lengths):
    """The two projections as one matrix over [query; state], as Bahdanau draws it."""
    T = len(states)
    s = np.where((np.arange(T)[:, None] < lengths)[:, :, None], states, 0)
    both = np.concatenate([np.broadcast_to(query, (T, *query.shape)), s], axis=2)
    W = np.concatenate([W_query, W_key], axis=1)
    a = np.tanh(both @ W.T)
    weights = masked_softmax((a * v).sum(axis=2).T, lengths)
    return (weights.T[..., None] * s).sum(axis=0), weights, (both, W, a, v, s, weights, query.shape[1])


def additive_joined_backward(dcontext, cache):
    both, W, a, v, s, weights, H = cache
    ds = softmax_backward((s * dcontext).sum(axis=2).T, weights).T[..., None]
    dz = ds * v * (1 - a**2)
    dW, dboth = np.tensordot(dz, both, ((0, 1), (0, 1))), dz @ W
    dstates = dboth[:, :, H:] + weights.T[..., None] * dcontext
    return dboth[:, :, :H].sum(axis=0), dstates, dW[:, :H], dW[:, H:], (ds * a).sum(axis=(0, 1))


def library_additive(query, states, W_query, W_key, v, lengths):
    memory, key_cache = attention.project_keys_forward(attention.remember(states, states, lengths), W_key)
    context, weights, cache = attention.additive_forward(query[None], memory, W_query, v)
    return context[0], weights[0], (cache, key_cache)


def library_additive_backward(dcontext, caches):
    dqueries, dprojected, dvalues, dW_query, dv = attention.additive_backward(dcontext[None], caches[0])
    dkeys, dW_key = attention.project_keys_backward(dprojected, caches[1])
    return dqueries[0], dkeys + dvalues, dW_query, dW_key, dv


class Gradients(NamedTuple):
    dquery: Any
    dkeys: Any
    dvalues: Any


def in_pairs(forward, backward, **others):
    """The ways of writing that suit both kinds of attention, and those of one."""
    return {
        "plain": (forward, backward),
        "nested lists": (forward, given_back(backward, np.ndarray.tolist)),
        "Fortran order": (forward, given_back(backward, np.asfortranarray)),
        "prints and warnings": (noisy(forward), noisy(backward)),
        "float32": (in_float32(forward), in_float32(backward)),
        "a function for a cache": (
            lambda *inputs: (*forward(*inputs)[:2], lambda dcontext: backward(dcontext, forward(*inputs)[2])),
            lambda dcontext, cache: cache(dcontext),
        ),
        "a list of three": (lambda *inputs: list(forward(*inputs)), backward),
        **others,
    }


WAYS = {
    "dot": in_pairs(
        *dot(),
        other_softmax=dot(softmax_looped, backward_by_jacobian),
        one_by_one=(dot_one_by_one, dot_one_by_one_backward),
        batched=(dot_batched, dot_batched_backward),
        spoiling=(dot_spoiling, dot_spoiling_backward),
        a_named_tuple=(dot()[0], lambda *given: Gradients(*dot()[1](*given))),
        library=(library_dot, library_dot_backward),
    ),
    "additive": in_pairs(
        *additive(),
        other_softmax=additive(softmax_looped, backward_by_jacobian),
        step_by_step=(additive_step_by_step, additive_step_by_step_backward),
        joined=(additive_joined, additive_joined_backward),
        library=(library_additive, library_additive_backward),
    ),
}

VARIANTS = [
    *(pytest.param(q, (f,), id=f"{q}: {how}") for q, ways in ALONE.items() for how, f in ways.items()),
    *(pytest.param(f"{k}_forward", p[:1], id=f"{k}_forward: {how}") for k, w in WAYS.items() for how, p in w.items()),
    *(pytest.param(f"{k}_backward", p, id=f"{k}_backward: {how}") for k, w in WAYS.items() for how, p in w.items()),
]


@pytest.mark.parametrize(("question", "functions"), VARIANTS)
def test_a_correct_solution_gets_full_marks_however_it_is_written(judged, question, functions):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        verdict = judged(question, *functions)
    assert verdict.points == verdict.max_points, str(verdict)
    assert verdict.diagnosis is None


# ---- learners' slips, as they write them ---------------------------------------------------------------------------


def softmax_textbook(scores, lengths):
    """From a textbook, with the mask of one."""
    scores = np.where(np.arange(scores.shape[1]) < lengths[:, None], scores, -np.inf)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_of_a_large_negative_number(scores, lengths):
    scores = np.where(np.arange(scores.shape[1]) < lengths[:, None], scores, -1e9)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_masked_after(scores, lengths):
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.where(np.arange(scores.shape[1]) < lengths[:, None], e / e.sum(axis=1, keepdims=True), 0)


def softmax_first_axis(scores, lengths):
    scores = np.where(np.arange(scores.shape[1]) < lengths[:, None], scores, -np.inf)
    e = np.exp(scores - scores.max(axis=0))
    return e / e.sum(axis=0)


def unscaled(query, keys, values, lengths):
    return dot()[0](query * np.sqrt(query.shape[1]), keys, values, lengths)


def values_not_cleaned(query, keys, values, lengths):
    _, weights, cache = dot()[0](query, keys, values, lengths)
    return np.einsum("nt,tnv->nv", weights, values), weights, cache


def raw_keys_kept(query, keys, values, lengths):
    context, weights, (_, _, clean, _) = dot()[0](query, keys, values, lengths)
    return context, weights, (query, keys, clean, weights)


def only_values(dcontext, cache):
    dquery, _, *rest = additive()[1](dcontext, cache)
    return dquery, np.einsum("nt,nd->tnd", cache[6], dcontext), *rest


def last_step_alone(dcontext, cache):
    """The query's gradient overwritten in a loop, where it should add up."""
    query, s, W_query, _, v, a, weights = cache
    _, dstates, _, dW_key, dv = additive()[1](dcontext, cache)
    ds = softmax_backward(np.einsum("nd,tnd->nt", dcontext, s), weights)
    for t in range(len(s)):
        dp = ds[:, t, None] * v * (1 - a[t] ** 2)
    return dp @ W_query, dstates, dp.T @ query, dW_key, dv


def cleaned_too_late(query, states, W_query, W_key, v, lengths):
    """The states are cleaned where they are read, and not where they are compared."""
    context, weights, (_, s, *_) = additive()[0](query, states, W_query, W_key, v, lengths)
    return context, weights, (query, s, W_query, W_key, v, np.tanh(query @ W_query.T + states @ W_key.T), weights)


def mean_slip(function):
    return lambda dcontext, cache: [*function(dcontext, cache)[:4], function(dcontext, cache)[4] / len(cache[0])]


def softmax_of_nan(scores, lengths):
    mask = np.arange(scores.shape[1]) < lengths[:, None]
    e = np.where(mask, np.exp(scores - scores.max(axis=1, keepdims=True)), 0)
    return e / e.sum(axis=1, keepdims=True)


def softmax_of_nan_guarded(scores, lengths):
    return np.where(lengths[:, None] > 0, softmax_of_nan(scores, lengths), 0)


def softmax_of_nan_guarded_by_the_sum(scores, lengths):
    mask = np.arange(scores.shape[1]) < lengths[:, None]
    e = np.where(mask, np.exp(scores - scores.max(axis=1, keepdims=True)), 0)
    total = e.sum(axis=1, keepdims=True)
    return e / np.where(total > 0, total, 1)


def softmax_looped_unguarded(scores, lengths):
    weights = np.zeros_like(scores)
    for n, L in enumerate(lengths):
        e = np.exp(scores[n, :L] - scores[n, :L].max())
        weights[n, :L] = e / e.sum()
    return weights


def inputs_in_the_targets(logits, targets, bos, epsilon, u):
    inputs = targets
    inputs[0] = bos
    for t in range(1, len(targets)):
        inputs[t] = np.where(u[t] < epsilon, targets[t - 1], logits[t - 1].argmax(axis=-1))
    return inputs


def ended_before_written(step, state, N, bos, eos, max_steps):
    tokens, done, ids, lengths = np.full(N, bos), np.zeros(N, bool), [], np.zeros(N, int)
    for _ in range(max_steps):
        logits, state = step(tokens, state)
        tokens = logits.argmax(axis=1)
        done |= tokens == eos
        tokens[done] = 0
        ids.append(tokens)
        lengths += ~done
        if done.all():
            break
    return np.stack(ids), lengths


def stopped_before_written(step, state, N, bos, eos, max_steps):
    tokens, done, ids, lengths = np.full(N, bos), np.zeros(N, bool), [], np.zeros(N, int)
    for _ in range(max_steps):
        logits, state = step(tokens, state)
        tokens = np.where(done, 0, logits.argmax(axis=1))
        lengths += ~done
        done |= tokens == eos
        if done.all():
            break
        ids.append(tokens)
    return np.array(ids), lengths


SLIPS = [
    ("masked_softmax", (softmax_textbook,), "empty_sequence_is_nan"),
    ("masked_softmax", (softmax_of_a_large_negative_number,), "empty_sequence_reads_its_padding"),
    ("masked_softmax", (softmax_masked_after,), "masked_after_the_softmax"),
    ("masked_softmax", (softmax_first_axis,), "softmax_over_the_batch"),
    ("masked_softmax", (softmax_of_nan,), "largest_score_of_the_padding_too_and_nothing_for_the_empty"),
    ("masked_softmax", (softmax_of_nan_guarded,), "largest_score_of_the_padding_too_in_whole_rows"),
    ("masked_softmax", (softmax_of_nan_guarded_by_the_sum,), "largest_score_of_the_padding_too"),
    ("masked_softmax", (softmax_looped_unguarded,), "empty_sequence_raises"),
    ("softmax_backward", (lambda dw, w: np.where(w > 0, dw * w * (1 - w), 0),), "diagonal_alone"),
    ("softmax_backward", (lambda dw, w: w * (dw - (w * dw).sum(axis=1, keepdims=True)),), "zero_times_nan"),
    ("dot_forward", (unscaled,), "scale_forgotten"),
    ("dot_forward", (values_not_cleaned,), "values_meet_nan"),
    ("dot_backward", (raw_keys_kept, dot()[1]), "query_meets_nan"),
    ("additive_backward", (cleaned_too_late, additive()[1]), "tanh_meets_nan"),
    ("additive_backward", (additive()[0], only_values), "states_as_values_alone"),
    ("additive_backward", (additive()[0], last_step_alone), "query_gradient_of_the_last_step"),
    ("additive_backward", (additive()[0], mean_slip(additive()[1])), "v_averaged_over_the_batch"),
    (
        "scheduled_inputs",
        (lambda z, y, b, e, u: np.where(u < e, inputs_looped(z, y, b, 0, u), inputs_looped(z, y, b, 1, u)),),
        "probability_reversed",
    ),
    ("scheduled_inputs", (lambda z, y, b, e, u: scheduled_inputs(z, y, b, 1 - e, 1 - u),), "truth_read_above_epsilon"),
    ("scheduled_inputs", (lambda z, y, b, e, u: scheduled_inputs(z, y, b, e, u[:, :1]),), "one_draw_for_all_sequences"),
    (
        "truth_probability",
        (lambda *given: [1 - curve for curve in truth_probability(*given)],),
        "all_reversed",
    ),
    ("scheduled_inputs", (inputs_in_the_targets,), "truth_is_the_input_before"),
    ("greedy_decode", (ended_before_written,), "end_neither_written_nor_counted"),
    ("greedy_decode", (stopped_before_written,), "last_tokens_not_written"),
    (
        "greedy_decode",
        (lambda *given: (greedy_decode(*given)[0], (greedy_decode(*given)[0] != 0).sum(axis=0)),),
        "lengths_count_what_is_not_zero",
    ),
]


@pytest.mark.parametrize(("question", "functions", "name"), SLIPS, ids=[slip[2] for slip in SLIPS])
def test_a_slip_as_it_is_really_written_hears_its_name(judged, question, functions, name):
    with np.errstate(all="ignore"):
        verdict = judged(question, *functions)
    assert verdict.points < verdict.max_points
    assert verdict.diagnosis.bugs == (name,), str(verdict)


def over_the_batch(scores, lengths):
    mask = np.arange(scores.shape[1]) < lengths[:, None]
    masked = np.where(mask, scores, -np.inf)
    e = np.exp(masked - np.where(mask.any(axis=1, keepdims=True), masked.max(axis=1, keepdims=True), 0))
    return e / np.where(e.sum(axis=0) > 0, e.sum(axis=0), 1)


@pytest.mark.parametrize("make", [dot, additive])
def test_a_wrong_softmax_is_paid_for_once(judged, make):
    assert judged("masked_softmax", over_the_batch).points == 0
    verdict = judged(f"{make.__name__}_forward", make(over_the_batch)[0])
    assert verdict.points == verdict.max_points, str(verdict)
    assert "Nothing is wrong here but the slip in" in verdict.diagnosis.text


def no_sum_term(dweights, weights):
    return weights * np.where(weights != 0, dweights, 0)


@pytest.mark.parametrize("make", [dot, additive])
def test_a_wrong_way_back_through_the_softmax_is_paid_for_once(judged, make):
    assert judged("softmax_backward", no_sum_term).points == 0
    verdict = judged(f"{make.__name__}_backward", *make(back=no_sum_term))
    assert verdict.points == verdict.max_points, str(verdict)


@pytest.mark.parametrize("make", [dot, additive])
def test_with_a_right_softmax_the_same_slip_loses_its_points(judged, make):
    judged("softmax_backward", softmax_backward)
    assert judged(f"{make.__name__}_backward", *make(back=no_sum_term)).points < 4


def test_the_way_back_of_an_unscaled_product_is_paid_where_it_is_the_gradient_of_that(judged):
    def back(dcontext, cache):
        dquery, *rest = dot()[1](dcontext, cache)
        return dquery * np.sqrt(dquery.shape[1]), *rest

    verdict = judged("dot_backward", unscaled, back)
    assert "scale_forgotten" in verdict.diagnosis.bugs
    assert [part.name for part in verdict.parts if part.points == 0] == [verdict.parts[-1].name]  # the edge cases


@pytest.mark.parametrize(
    ("given", "came"),
    [(lambda c, w: (c, w), "2 things"), (lambda c, w: c, "one ndarray"), (lambda c, w: None, "one NoneType")],
)
def test_who_forgets_the_cache_is_told_so(judged, given, came):
    def forgetful(*inputs):
        return given(*dot()[0](*inputs)[:2])

    for question, functions in (("dot_forward", (forgetful,)), ("dot_backward", (forgetful, dot()[1]))):
        text = str(judged(question, *functions))
        assert f"it returned {came}; expected 3, in this order: context, weights, cache" in text


def test_a_callee_that_is_not_written_is_not_its_callers_fault(judged):
    def masked_softmax(*given):
        raise NotImplementedError

    def softmax_backward(*given):
        raise NotImplementedError

    text = str(judged("dot_forward", dot(masked_softmax)[0]))
    assert "Your function calls masked_softmax, which is not written yet." in text
    text = str(judged("dot_backward", *dot(back=softmax_backward)))
    assert "Your dot_backward calls softmax_backward, which is not written yet." in text


@pytest.mark.parametrize(
    "make",
    [softmax_of_nan, softmax_of_nan_guarded, softmax_of_nan_guarded_by_the_sum, softmax_looped_unguarded],
)
def test_a_maximum_over_the_padding_is_paid_for_once(judged, make):
    with np.errstate(all="ignore"):
        judged("masked_softmax", make)
        verdict = judged("dot_forward", dot(make)[0])
    assert verdict.points == verdict.max_points, str(verdict)


def test_one_gradient_too_few_is_counted(judged):
    text = str(judged("additive_backward", additive()[0], lambda *given: additive()[1](*given)[:4]))
    assert "returned 4 things; expected 5, in this order: dquery, dstates, dW_query, dW_key, dv" in text


# ---- the notebooks -------------------------------------------------------------------------------------------------


def test_the_sources_own_solution_gets_full_marks_reads_numbers_and_is_drawn():
    shown = executed(SOURCE)
    for name, question in questions_of("ps8_attention").items():
        assert float(shown[name]["text/plain"]) == question.points
    assert max(map(float, re.findall(r"[\d.]+e[+-]\d+", shown["slopes"]["printed"]))) < 1e-8
    right = re.findall(r"(\d+)% of 200 numbers that it never heard", shown["test"]["printed"])
    assert int(right[0]) > 90
    for picture in ("story_picture", "own_look", "curves", "map"):
        assert "image/png" in shown[picture]


def test_the_handout_runs_with_nothing_written_and_says_so():
    shown = executed(RELEASED)
    for name in questions_of("ps8_attention"):
        assert float(shown[name]["text/plain"]) == 0
        assert "not written yet" in shown[name]["text/html"]
    for cell, says in (("own_look", "see"), ("slopes", "measure"), ("curves", "draw"), ("test", "read")):
        assert f"Nothing to {says} yet" in shown[cell]["printed"]
    assert "Nothing to read yet" in shown["map"]["text/plain"]


def test_questions_stand_in_their_order_with_their_points(cells):
    graded = {i: c.metadata.nbgrader.points for i, c in cells.items() if c.metadata.get("nbgrader", {}).get("grade")}
    asked = {name: question.points for name, question in questions_of("ps8_attention").items()}
    assert list(graded.items()) == [*asked.items(), ("exposure_bias", 3)]
    said = re.findall(r"\*\*Points\*\* \| (\d+): (.*) \|", cells["title"].source)[0]
    assert int(said[0]) == sum(graded.values())
    assert [int(n) for n in re.findall(r"\d+", said[1])] == list(graded.values())


def test_every_function_of_a_pair_is_called_as_its_question_says(cells):
    for name in PAIRS_OF:
        asked = find(name).backward
        assert cells[name].source == f'check("{name}", context_and_cache({asked.forward}), asked({asked.name}))'


# ---- worked examples -----------------------------------------------------------------------------------------------


def table(text):
    """The table rows of a text, by first entry: the other entries."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|") and "---" not in line]
    return {head.strip(): [entry.strip() for entry in entries] for head, *entries in rows}


def numbers(text):
    return [float(entry.replace("−", "-").replace("∞", "inf")) for entry in text.split(",")]


def rows_of(cells, cell, *heads):
    rows = table(cells[cell].source)
    return [np.array([numbers(entry) for entry in rows[head]]) for head in heads]


def close(said, true):
    np.testing.assert_allclose(said, true, atol=5.1e-5)


def test_the_worked_softmax_and_its_way_back_are_true(cells):
    scores, masked, shifted, weights = rows_of(cells, "q1", "scores", "masked", "minus the maximum", "weights")
    close(weights, masked_softmax(scores, np.array([2, 3])))
    np.testing.assert_array_equal(masked, np.where(np.isinf(masked), -np.inf, scores))
    np.testing.assert_array_equal(shifted, masked - masked.max(axis=1, keepdims=True))
    e, total = rows_of(cells, "q1", "$e$ to that", "their sum")
    close(e, np.exp(shifted))
    close(total[:, 0], np.exp(shifted).sum(axis=1))

    again, dweights, dscores = rows_of(cells, "q2", "weights", "dweights", "dscores")
    np.testing.assert_array_equal(again, weights)
    exact = masked_softmax(scores, np.array([2, 3]))
    close(dscores, softmax_backward(dweights, exact))
    close(rows_of(cells, "q2", "their sum")[0][:, 0], (exact * np.nan_to_num(dweights)).sum(axis=1))


def test_the_worked_products_and_their_way_back_are_true(cells):
    keys, values, scores, weights = rows_of(cells, "q3", "key", "value", "score", "weight")
    query = np.array([numbers(re.findall(r"The query is ([\d, −]+):", cells["q3"].source)[0])])
    forward, backward = dot()
    context, true, cache = forward(query, keys[:, None], values[:, None], np.array([2]))
    close(weights.T, true)
    close(scores[:2, 0], (keys[:2] @ query[0]) / 2)
    close(numbers(re.findall(r"the context is ([\d., ]+\d)\.", cells["q3"].source)[0]), context[0])
    dcontext = np.array([numbers(re.findall(r"`dcontext` = ([\d., −]+\d):", cells["q4"].source)[0])])
    dquery, dkeys, dvalues = backward(dcontext, cache)
    said = rows_of(cells, "q4", "dvalue", "dkey", "dscore", "divided by √D")
    close(said[0], dvalues[:, 0])
    close(said[1], dkeys[:, 0])
    close(said[2], 2 * said[3])
    close(numbers(re.findall(r"`dquery` is ([\d., −]+\d)\.", cells["q4"].source)[0]), dquery[0])


def test_the_worked_small_network_and_its_way_back_are_true(cells):
    nan = [np.nan] * 3
    states = np.array([[1, 0, 2], [-1, 1, -1], nan, nan, nan], float)[:, None]
    W_query, W_key = np.array([[0.5, 1, 0, 0], [0, 0, 1, 0.5]]), np.array([[0.5, 0, 0], [0, 1, 0.5]])
    forward, backward = additive()
    query, v = np.array([[1.0, 0, -1, 2]]), np.array([2.0, -1])
    context, weights, cache = forward(query, states, W_query, W_key, v, np.array([2]))
    rows = table(cells["q5"].source)
    for head, true in (
        ("$W_{key}\\, h$", cache[1][:2, 0] @ W_key.T),
        ("$\\tanh(z)$", cache[5][:2, 0]),
        ("score", (cache[5][:2] @ v)),
        ("weight", weights[:, :2].T),
    ):
        close([numbers(entry) for entry in rows[head][:2]], true)
    close(numbers(re.findall(r"So the context is ([\d., −]+\d)\.", cells["q5"].source)[0]), context[0])
    dquery, dstates, dW_query, dW_key, dv = backward(np.array([[1, 0.5, -1]]), cache)
    close(rows_of(cells, "q6", "dstate")[0], dstates[:2, 0])
    text = cells["q6"].source
    close(numbers(re.findall(r"`dquery` = ([\d., −]+\d);", text)[0]), dquery[0])
    close(numbers(re.findall(r"`dv` = ([\d., −]+\d);", text)[0]), dv)
    for name, true in (("dW_query", dW_query), ("dW_key", dW_key)):
        said = re.findall(rf"`{name}`(?: has)? the rows ([\d., −]+\d) and ([\d., −]+\d)[,.]", text)[0]
        close([numbers(row) for row in said], true)


def test_the_worked_coins_are_true(cells):
    targets, said, u, inputs = (
        row.T for row in rows_of(cells, "q7", "targets", "most likely, at steps 0 to 3", "u", "inputs")
    )
    np.testing.assert_array_equal(scheduled_inputs(np.eye(6)[said.astype(int)], targets, 5, 0.6, u), inputs)


def test_the_worked_schedules_are_true(cells):
    rows = table(cells["q8"].source.split("**A worked example**")[1])
    said = [[float(entry) for entry in rows[name]] for name in ("linear", "exponential", "inverse sigmoid")]
    close(said, truth_probability(np.array([float(i) for i in rows["i"]]), 0.9, 0.02, 0.25, 0.95, 10))


def test_the_worked_writing_is_true(cells):
    says, writes = ([numbers(row[k]) for s, row in table(cells["q9"].source).items() if s.isdigit()] for k in (1, 2))
    logits = np.eye(8)[np.array(says, int)]
    ids, lengths = greedy_decode(lambda tokens, t: (logits[t], t + 1), 0, 3, 2, 1, 5)
    np.testing.assert_array_equal(ids, writes)
    assert f"`lengths` is {', '.join(map(str, lengths))}" in cells["q9"].source


# ---- the learner's pictures ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def room(cells):
    """The names that the source's cells leave behind up to the curves: solutions and pictures."""
    names: dict[str, Any] = {"__name__": "__main__", "check": lambda *anything: None, "np": np}
    names["display"] = lambda *scenes: None
    for cell in cells.values():
        if cell.cell_type == "code" and cell.id not in ("install", "setup"):
            exec(cell.source, names)
        if cell.id == "curves":
            return names


@pytest.mark.parametrize("angle", [0, 240, 270, 300])
def test_the_drawn_weights_are_shares_and_padding_has_none(room, angle):
    bars = room["look"](angle, 8.0).panels[0].marks[0]
    assert bars.y.sum() == pytest.approx(1)
    assert not bars.y[4:].any()
    assert room["look"](angle, 0.0).panels[0].marks[0].y[:4] == pytest.approx(0.25)


def test_a_picture_of_somebody_without_a_mask_shows_it(room, monkeypatch):
    monkeypatch.setitem(room, "masked_softmax", lambda scores, lengths: np.exp(scores) / np.exp(scores).sum())
    assert room["look"](270, 8.0).panels[0].marks[0].y[4:].any()


def test_all_drawn_schedules_fall(room):
    for k in (5, 30, 60):
        for line in room["curves"](k).panels[0].marks:
            assert np.all(np.diff(line.y) <= 0)
            assert 0 <= line.y[-1] < line.y[0] <= 1
