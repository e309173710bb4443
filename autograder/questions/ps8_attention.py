"""Problem set 8: looking back, and what a decoder reads while it learns and while it writes (lesson 16).

One decoder step asks at a time: a query for each sequence, (N, ...), over encoder states (T, N, ...). Weights are
(N, T), a row a sequence, as in one row of rnnlib's attention maps. What stands in the padding of what comes in is
garbage or NaN, so that a mask which multiplies fails and one which chooses does not.

Attention returns its weights for people to look at. No gradient flows into them: the locked cells of the backward
questions take the context alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from autograder.model import joined
from autograder.question import Arrays, Backward, Case, Part, Question, with_upstream
from autograder.questions.padded import uneven, with_padding
from autograder.questions.ps8_attention_bugs import (
    ADDITIVE_ALONE_BUGS,
    ADDITIVE_BACKWARD_BUGS,
    ADDITIVE_BUGS,
    DOT_ALONE_BUGS,
    DOT_BACKWARD_BUGS,
    DOT_BUGS,
    ONLY_WHERE_LARGE,
    ONLY_WHERE_NAN,
    SOFTMAX_ALONE_BUGS,
    SOFTMAX_BACKWARD_ALONE_BUGS,
    SOFTMAX_BACKWARD_BUGS,
    SOFTMAX_BUGS,
    without,
)
from autograder.questions.ps8_decoding_bugs import GREEDY_BUGS, INPUT_BUGS, PROBABILITY_BUGS
from rnnlib import attention

LESSON = "16_seq2seq_attention.ipynb"


# ---- the masked softmax --------------------------------------------------------------------------------------------


def _softmax_case(
    rng: np.random.Generator, name: str, lengths: np.ndarray, T: int, nan: bool = True, **how: object
) -> Case:
    scores = with_padding(rng, rng.normal(0, 1.5, (T, len(lengths))), lengths, nan).T
    return Case(name, (np.ascontiguousarray(scores), lengths), **how)  # type: ignore[arg-type]


def _softmax_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _softmax_case(rng, "N=4, T=6, numbers in the padding", uneven(rng, 6, 4), 6, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _softmax_case(rng, "NaN in the padding, and padding after every sequence", uneven(rng, 5, 3), 6)
    yield _softmax_case(rng, "as many sequences as steps, not contiguous", uneven(rng, 4, 4), 4, layout="strided")
    yield _softmax_case(rng, "lengths of 0, 1 and T", np.array([0, 4, 1]), 4, edge=True)
    yield _softmax_case(rng, "one sequence", np.array([3]), 5, edge=True, layout="F")
    scores, lengths = _softmax_case(rng, "", uneven(rng, 4, 3), 5).inputs
    large = scores + rng.permutation([800.0, -800.0, 0.0])[:, None]
    yield Case("large scores", (large, lengths), edge=True, condition=10)  # near 800, float32 keeps 4 decimals


def _valid_scores(scores, lengths):  # type: ignore[no-untyped-def]
    T = scores.shape[1]
    mask = np.arange(T) < lengths[:, None]
    return mask


def _shares(mask, scores):  # type: ignore[no-untyped-def]
    masked = np.where(mask, scores, -np.inf)
    largest = masked.max(axis=1, keepdims=True)
    largest = np.where(mask.any(axis=1, keepdims=True), largest, 0)
    e = np.exp(masked - largest)
    total = e.sum(axis=1, keepdims=True)
    weights = e / np.where(total > 0, total, 1)
    return weights


def _softmax_reference(scores: np.ndarray, lengths: np.ndarray) -> Arrays:
    return (attention.masked_softmax(scores, lengths),)


_WEIGHTS_AXES = ("sequence", "step")
SOFTMAX = Question(
    name="masked_softmax",
    title="Shares of attention",
    arguments=("scores", "lengths"),
    outputs=("weights",),
    axes={"weights": _WEIGHTS_AXES},
    reference=_softmax_reference,
    cases=_softmax_cases,
    parts=(
        Part("weights", 3, ("weights",)),
        Part("lengths of 0, 1 and T, one sequence, large scores", 2, ("weights",), edge=True),
    ),
    model=joined(("scores", "lengths"), (_valid_scores, _shares), ("weights",)),
    bugs=(*SOFTMAX_BUGS, *SOFTMAX_ALONE_BUGS),
    lesson=LESSON,
)


# ---- and its way back ----------------------------------------------------------------------------------------------


def _softmax_backward_case(
    rng: np.random.Generator, name: str, lengths: np.ndarray, T: int, nan: bool = True, **how: object
) -> Case:
    """dweights with garbage or NaN where the weights are zero, and weights that a softmax gave."""
    scores, _ = _softmax_case(rng, "", lengths, T).inputs
    dweights, _ = _softmax_case(rng, "", lengths, T, nan).inputs
    return Case(name, (dweights, attention.masked_softmax(scores, lengths)), **how)  # type: ignore[arg-type]


def _softmax_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _softmax_backward_case(rng, "N=4, T=6, numbers in the padding", uneven(rng, 6, 4), 6, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _softmax_backward_case(rng, "NaN in the padding", uneven(rng, 5, 3), 6)
    yield _softmax_backward_case(rng, "as many sequences as steps", uneven(rng, 4, 4), 4, layout="strided")
    yield _softmax_backward_case(rng, "lengths of 0, 2 and T", np.array([0, 4, 2]), 4, edge=True)
    yield _softmax_backward_case(rng, "one sequence", np.array([3]), 5, edge=True, layout="F")


def _clean(dweights, weights):  # type: ignore[no-untyped-def]
    dweights = np.where(weights != 0, dweights, 0)
    return dweights


def _blame(dweights, weights):  # type: ignore[no-untyped-def]
    inner = (weights * dweights).sum(axis=1, keepdims=True)
    dscores = weights * (dweights - inner)
    return dscores


def _softmax_backward_reference(dweights: np.ndarray, weights: np.ndarray) -> Arrays:
    return (attention.masked_softmax_backward(dweights, weights),)


SOFTMAX_BACKWARD = Question(
    name="softmax_backward",
    title="Shares of blame",
    arguments=("dweights", "weights"),
    outputs=("dscores",),
    axes={"dscores": _WEIGHTS_AXES},
    reference=_softmax_backward_reference,
    cases=_softmax_backward_cases,
    parts=(Part("dscores", 3, ("dscores",)), Part("lengths of 0 and T, one sequence", 1, ("dscores",), edge=True)),
    model=joined(("dweights", "weights"), (_clean, _blame), ("dscores",)),
    bugs=(*SOFTMAX_BACKWARD_BUGS, *SOFTMAX_BACKWARD_ALONE_BUGS),
    lesson=LESSON,
)


# ---- dot products --------------------------------------------------------------------------------------------------


def _dot_case(
    rng: np.random.Generator, name: str, lengths: np.ndarray, T: int, D: int, Dv: int, nan: bool = True, **how: object
) -> Case:
    """query, keys, values, lengths: of a size at which no key takes all the weight."""
    N = len(lengths)
    keys, values = (with_padding(rng, rng.normal(size=(T, N, size)), lengths, nan) for size in (D, Dv))
    return Case(name, (rng.normal(0, 1.2, (N, D)), keys, values, lengths), **how)  # type: ignore[arg-type]


def _dot_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _dot_case(rng, "T=5, N=4, D=3, Dv=2, numbers in the padding", uneven(rng, 5, 4), 5, 3, 2, nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _dot_case(rng, "NaN in the padding, and padding after every sequence", uneven(rng, 5, 3), 6, 2, 5)
    yield _dot_case(rng, "all sizes equal, not contiguous", uneven(rng, 4, 4), 4, 4, 4, layout="strided")
    yield _dot_case(rng, "lengths of 0, 2 and T", np.array([0, 4, 2]), 4, 2, 3, edge=True)
    yield _dot_case(rng, "one sequence", np.array([3]), 5, 3, 4, edge=True, layout="F")


def _dot_forward_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _dot_cases(rng)
    large = _dot_case(rng, "large scores", uneven(rng, 4, 3), 5, 3, 2, edge=True, condition=10)
    query, keys, *others = large.inputs
    query = rng.permutation([2000.0, -2000.0, 1.0])[:, None] * (0.5 + np.abs(query))
    yield replace(large, inputs=(query, np.abs(keys) + 0.5, *others))


def _dot_scores(query, keys, values, lengths):  # type: ignore[no-untyped-def]
    T, N, D = keys.shape  # noqa: RUF059
    mask = np.arange(T) < lengths[:, None]
    held = mask.T[:, :, None]
    k = np.where(held, keys, 0)
    u = np.where(held, values, 0)
    scores = np.einsum("nd,tnd->nt", query, keys) / np.sqrt(D)
    return mask, D, k, u, scores


def _dot_context(weights, u):  # type: ignore[no-untyped-def]
    context = np.einsum("nt,tnv->nv", weights, u)
    return context


def _dot_reference(query: np.ndarray, keys: np.ndarray, values: np.ndarray, lengths: np.ndarray) -> Arrays:
    context, weights, _ = attention.dot_forward(query[None], attention.remember(keys, values, lengths))
    return context[0], weights[0]


_DOT_ARGUMENTS = ("query", "keys", "values", "lengths")
_DOT_STEPS = (_dot_scores, _shares, _dot_context)
_READING = {"context": ("sequence", "number"), "weights": _WEIGHTS_AXES}
DOT = Question(
    name="dot_forward",
    title="Look back",
    arguments=_DOT_ARGUMENTS,
    outputs=("context", "weights"),
    axes=_READING,
    reference=_dot_reference,
    cases=_dot_forward_cases,
    parts=(
        Part("weights", 2, ("weights",)),
        Part("context", 2, ("context",)),
        Part("lengths of 0 and T, one sequence, large scores", 1, ("context", "weights"), edge=True),
    ),
    model=joined(_DOT_ARGUMENTS, _DOT_STEPS, ("context", "weights")),
    bugs=(*DOT_BUGS, *SOFTMAX_BUGS, *DOT_ALONE_BUGS),
    lesson=LESSON,
    builds_on=("masked_softmax",),
)


def _dot_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    return with_upstream(_dot_cases(rng), lambda case: (rng.normal(size=case.inputs[2].shape[1:]),))


def _dot_context_back(dcontext, weights, u):  # type: ignore[no-untyped-def]
    dvalues = np.einsum("nt,nv->tnv", weights, dcontext)
    dweights = np.einsum("nv,tnv->nt", dcontext, u)
    return dvalues, dweights


def _dot_scores_back(dscores, query, k, D):  # type: ignore[no-untyped-def]
    dproducts = dscores / np.sqrt(D)
    dquery = np.einsum("nt,tnd->nd", dproducts, k)
    dkeys = np.einsum("nt,nd->tnd", dproducts, query)
    return dquery, dkeys


def _dot_backward_reference(*arguments: np.ndarray) -> Arrays:
    query, keys, values, lengths, dcontext = arguments
    context, _, cache = attention.dot_forward(query[None], attention.remember(keys, values, lengths))
    dqueries, dkeys, dvalues = attention.dot_backward(dcontext[None], cache)
    return context[0], dqueries[0], dkeys, dvalues


_DOT_GRADIENTS = ("dquery", "dkeys", "dvalues")
DOT_BACKWARD = Question(
    name="dot_backward",
    title="And its way back",
    arguments=DOT.arguments,
    outputs=("context", *_DOT_GRADIENTS),
    axes={
        "context": ("sequence", "number"),
        "dquery": ("sequence", "unit"),
        "dkeys": ("step", "sequence", "unit"),
        "dvalues": ("step", "sequence", "number"),
    },
    reference=_dot_backward_reference,
    cases=_dot_backward_cases,
    parts=(
        Part("dvalues", 1, ("dvalues",)),
        Part("dquery", 2, ("dquery",)),
        Part("dkeys", 2, ("dkeys",)),
        Part("lengths of 0 and T, one sequence", 1, _DOT_GRADIENTS, edge=True),
    ),
    model=joined(
        (*_DOT_ARGUMENTS, "dcontext"),
        (*_DOT_STEPS, _dot_context_back, _blame, _dot_scores_back),
        ("context", *_DOT_GRADIENTS),
    ),
    bugs=(*DOT_BACKWARD_BUGS, *SOFTMAX_BACKWARD_BUGS, *DOT_BUGS, *without(SOFTMAX_BUGS, *ONLY_WHERE_LARGE)),
    lesson=LESSON,
    backward=Backward("dot_forward", "dot_backward", ("dcontext",), _DOT_GRADIENTS),
    builds_on=("masked_softmax", "softmax_backward", "dot_forward"),
)


# ---- additive attention --------------------------------------------------------------------------------------------


def _additive_case(
    rng: np.random.Generator,
    name: str,
    lengths: np.ndarray,
    T: int,
    sizes: tuple[int, int, int],
    nan: bool = True,
    **how: object,
) -> Case:
    """query, states, W_query, W_key, v, lengths: of a size at which tanh bends and is not saturated."""
    N, (H, D, A) = len(lengths), sizes
    states = with_padding(rng, rng.normal(size=(T, N, D)), lengths, nan)
    W_query, W_key = (rng.normal(0, 0.8 / np.sqrt(size), (A, size)) for size in (H, D))
    v = rng.choice([-1, 1], A) * rng.uniform(0.7, 1.6, A)
    return Case(name, (rng.normal(size=(N, H)), states, W_query, W_key, v, lengths), **how)  # type: ignore[arg-type]


def _additive_cases(rng: np.random.Generator) -> Iterator[Case]:
    first = "T=6, N=4, H=2, D=3, A=5, numbers in the padding"
    general = _additive_case(rng, first, uneven(rng, 6, 4), 6, (2, 3, 5), nan=False)
    yield general
    yield Case("the same call again", general.inputs)
    yield _additive_case(rng, "NaN in the padding, and padding after every sequence", uneven(rng, 5, 3), 6, (4, 2, 5))
    yield _additive_case(rng, "all sizes equal, not contiguous", uneven(rng, 4, 4), 4, (4, 4, 4), layout="strided")
    yield _additive_case(rng, "lengths of 0, 2 and T", np.array([0, 4, 2]), 4, (3, 2, 4), edge=True)
    yield _additive_case(rng, "one sequence", np.array([3]), 5, (2, 4, 3), edge=True, layout="F")


def _additive_forward_cases(rng: np.random.Generator) -> Iterator[Case]:
    yield from _additive_cases(rng)
    large = _additive_case(rng, "large scores", uneven(rng, 4, 3), 5, (2, 3, 4), edge=True, condition=30)
    _, states, W_query, W_key, v, lengths = large.inputs
    query, W_query = rng.permutation([3.0, -3.0, 0.0])[:, None] * np.ones(2), 0.5 + np.abs(W_query)
    yield replace(large, inputs=(query, states, W_query, 0.3 * W_key, 1500 * np.abs(v) / np.abs(v).sum(), lengths))


def _additive_scores(query, states, W_query, W_key, v, lengths):  # type: ignore[no-untyped-def]
    T, N, D = states.shape  # noqa: RUF059
    mask = np.arange(T) < lengths[:, None]
    held = mask.T[:, :, None]
    s = np.where(held, states, 0)
    z = query @ W_query.T + s @ W_key.T
    a = np.tanh(z)
    scores = (a @ v).T
    return mask, s, a, scores


def _additive_context(weights, s):  # type: ignore[no-untyped-def]
    context = np.einsum("nt,tnd->nd", weights, s)
    return context


def _asked(query: np.ndarray, states: np.ndarray, *rest: np.ndarray) -> tuple[tuple[np.ndarray, ...], object, object]:
    W_query, W_key, v, lengths = rest
    memory, key_cache = attention.project_keys_forward(attention.remember(states, states, lengths), W_key)
    context, weights, cache = attention.additive_forward(query[None], memory, W_query, v)
    return (context[0], weights[0]), cache, key_cache


def _additive_reference(*arguments: np.ndarray) -> Arrays:
    return _asked(*arguments)[0]


_ADDITIVE_ARGUMENTS = ("query", "states", "W_query", "W_key", "v", "lengths")
_ADDITIVE_STEPS = (_additive_scores, _shares, _additive_context)
ADDITIVE = Question(
    name="additive_forward",
    title="Look back, with a small network",
    arguments=_ADDITIVE_ARGUMENTS,
    outputs=("context", "weights"),
    axes=_READING,
    reference=_additive_reference,
    cases=_additive_forward_cases,
    parts=(
        Part("weights", 2, ("weights",)),
        Part("context", 2, ("context",)),
        Part("lengths of 0 and T, one sequence, large scores", 1, ("context", "weights"), edge=True),
    ),
    model=joined(_ADDITIVE_ARGUMENTS, _ADDITIVE_STEPS, ("context", "weights")),
    bugs=(*ADDITIVE_BUGS, *without(SOFTMAX_BUGS, *ONLY_WHERE_NAN), *ADDITIVE_ALONE_BUGS),
    lesson=LESSON,
    builds_on=("masked_softmax",),
)


def _additive_backward_cases(rng: np.random.Generator) -> Iterator[Case]:
    return with_upstream(_additive_cases(rng), lambda case: (rng.normal(size=case.inputs[1].shape[1:]),))


def _additive_context_back(dcontext, weights, s):  # type: ignore[no-untyped-def]
    as_values = np.einsum("nt,nd->tnd", weights, dcontext)
    dweights = np.einsum("nd,tnd->nt", dcontext, s)
    return as_values, dweights


def _additive_scores_back(dscores, as_values, query, s, a, W_query, W_key, v):  # type: ignore[no-untyped-def]
    dv = np.einsum("nt,tna->a", dscores, a)
    da = dscores.T[:, :, None] * v
    dz = da * (1 - a**2)
    dp = dz.sum(axis=0)
    dquery = dp @ W_query
    as_keys = dz @ W_key
    dstates = as_keys + as_values
    dW_query = dp.T @ query
    dW_key = np.einsum("tna,tnd->ad", dz, s)
    return dquery, dstates, dW_query, dW_key, dv


def _additive_backward_reference(*arguments: np.ndarray) -> Arrays:
    *inputs, dcontext = arguments
    (context, _), cache, key_cache = _asked(*inputs)
    dqueries, dprojected, dvalues, dW_query, dv = attention.additive_backward(dcontext[None], cache)  # type: ignore[arg-type]
    dkeys, dW_key = attention.project_keys_backward(dprojected, key_cache)  # type: ignore[arg-type]
    return context, dqueries[0], dkeys + dvalues, dW_query, dW_key, dv


_ADDITIVE_GRADIENTS = ("dquery", "dstates", "dW_query", "dW_key", "dv")
ADDITIVE_BACKWARD = Question(
    name="additive_backward",
    title="And its way back",
    arguments=ADDITIVE.arguments,
    outputs=("context", *_ADDITIVE_GRADIENTS),
    axes={
        "context": ("sequence", "number"),
        "dquery": ("sequence", "unit"),
        "dstates": ("step", "sequence", "number"),
        "dW_query": ("row", "unit"),
        "dW_key": ("row", "number"),
        "dv": ("row",),
    },
    reference=_additive_backward_reference,
    cases=_additive_backward_cases,
    parts=(
        Part("dv", 1, ("dv",)),
        Part("dquery and dW_query", 2, ("dquery", "dW_query")),
        Part("dW_key", 1, ("dW_key",)),
        Part("dstates", 2, ("dstates",)),
        Part("lengths of 0 and T, one sequence", 1, _ADDITIVE_GRADIENTS, edge=True),
    ),
    model=joined(
        (*_ADDITIVE_ARGUMENTS, "dcontext"),
        (*_ADDITIVE_STEPS, _additive_context_back, _blame, _additive_scores_back),
        ("context", *_ADDITIVE_GRADIENTS),
    ),
    bugs=(
        *ADDITIVE_BACKWARD_BUGS,
        *SOFTMAX_BACKWARD_BUGS,
        *ADDITIVE_BUGS,
        *without(SOFTMAX_BUGS, *ONLY_WHERE_LARGE, *ONLY_WHERE_NAN),
    ),
    lesson=LESSON,
    backward=Backward("additive_forward", "additive_backward", ("dcontext",), _ADDITIVE_GRADIENTS),
    builds_on=("masked_softmax", "softmax_backward", "additive_forward"),
)


# ---- scheduled sampling --------------------------------------------------------------------------------------------


def _inputs_case(rng: np.random.Generator, name: str, T: int, N: int, V: int, epsilon: float, **how: object) -> Case:
    """logits, targets, bos, epsilon, u: targets and predictions never agree, and both occur in every row and column."""
    logits = rng.normal(size=(T, N, V))
    said = logits.argmax(axis=-1)
    targets = (said + rng.integers(1, V, (T, N))) % V
    u = np.where(rng.permuted(np.add.outer(np.arange(T), np.arange(N)) % 2, axis=0) > 0, epsilon, 0.0)
    u = u + rng.uniform(0, 1, (T, N)) * np.where(u > 0, 1 - epsilon, epsilon)
    return Case(name, (logits, targets, np.array(V - 1), np.array(epsilon), u), **how)  # type: ignore[arg-type]


def _inputs_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _inputs_case(rng, "T=7, N=4, V=5, ε=0.6", 7, 4, 5, 0.6)
    yield general
    yield Case("the same call again", general.inputs)
    yield _inputs_case(rng, "T=6, N=3, V=8, ε=0.3", 6, 3, 8, 0.3, layout="strided")
    yield _inputs_case(rng, "all sizes equal", 5, 5, 5, 0.5)
    yield _inputs_case(rng, "one step", 1, 3, 4, 0.5, edge=True)
    logits, targets, bos, _, u = _inputs_case(rng, "", 5, 2, 4, 0.5, edge=True).inputs
    u[2:4] = 0.0  # a generator may draw it
    yield Case("ε=0", (logits, targets, bos, np.array(0.0), u), edge=True)
    yield Case("ε=1", (logits, targets, bos, np.array(1.0), u), edge=True)


def _inputs_model(logits, targets, bos, epsilon, u):  # type: ignore[no-untyped-def]
    T, N = targets.shape  # noqa: RUF059
    said = logits.argmax(axis=-1)
    first = np.full((1, N), bos)
    truth = np.concatenate([first, targets[:-1]])
    own = np.concatenate([first, said[:-1]])
    inputs = np.where(u < epsilon, truth, own)
    return (inputs,)


def _inputs_reference(
    logits: np.ndarray, targets: np.ndarray, bos: np.ndarray, epsilon: np.ndarray, u: np.ndarray
) -> Arrays:
    inputs = np.full(targets.shape, int(bos))
    for t, n in np.ndindex(*targets.shape):
        if t > 0:
            inputs[t, n] = targets[t - 1, n] if u[t, n] < epsilon else np.argmax(logits[t - 1, n])
    return (inputs,)


INPUTS = Question(
    name="scheduled_inputs",
    title="Scheduled sampling",
    arguments=("logits", "targets", "bos", "epsilon", "u"),
    outputs=("inputs",),
    axes={"inputs": ("step", "sequence")},
    reference=_inputs_reference,
    cases=_inputs_cases,
    parts=(Part("inputs", 3, ("inputs",)), Part("ε of 0 and of 1, one step", 1, ("inputs",), edge=True)),
    model=_inputs_model,
    bugs=INPUT_BUGS,
    lesson=LESSON,
)


def _probability_cases(rng: np.random.Generator) -> Iterator[Case]:
    def case(name: str, last: int, k: float, **how: object) -> Case:
        i = np.array([0, *np.sort(rng.choice(np.arange(1, last), 3, replace=False)), last])
        start, slope, floor = rng.uniform(0.85, 0.95), rng.uniform(0.8, 1.2) / last, rng.uniform(0.1, 0.2)
        base = rng.uniform(0.5, 0.8) ** (3 / last)
        numbers = (np.array(float(number)) for number in (start, slope, floor, base, k))
        return Case(name, (i, *numbers), **how)  # type: ignore[arg-type]

    general = case("updates 0 to 50", 50, 12.0)
    yield general
    yield Case("the same call again", general.inputs)
    yield case("updates 0 to 400", 400, 60.0, layout="strided")
    yield case("updates 0 to 1000, and k below 2", 1000, 1.5)


def _probability_model(i, start, slope, floor, base, k):  # type: ignore[no-untyped-def]
    linear = np.maximum(floor, start - slope * i)
    exponential = base**i
    sigmoid = k / (k + np.exp(i / k))
    return linear, exponential, sigmoid


def _probability_reference(i: np.ndarray, *numbers: np.ndarray) -> Arrays:
    start, slope, floor, base, k = map(float, numbers)
    with np.errstate(over="ignore"):
        sigmoid = 1 / (1 + np.exp(i / k - np.log(k)))
    return np.clip(start - i * slope, floor, None), np.exp(i * np.log(base)), sigmoid


_CURVES = ("linear", "exponential", "inverse sigmoid")
PROBABILITY = Question(
    name="truth_probability",
    title="Three ways to let go",
    arguments=("i", "start", "slope", "floor", "base", "k"),
    outputs=_CURVES,
    axes={name: ("update",) for name in _CURVES},
    reference=_probability_reference,
    cases=_probability_cases,
    parts=(*(Part(name, 1, (name,)) for name in _CURVES),),
    model=_probability_model,
    bugs=PROBABILITY_BUGS,
    lesson=LESSON,
)


# ---- greedy decoding -----------------------------------------------------------------------------------------------


def _greedy_case(
    rng: np.random.Generator, name: str, lengths: list[int], V: int, max_steps: int, **how: object
) -> Case:
    """A decoder as a table: logits[step, sequence, token read]. Sequences end after `lengths`, if not cut off before.

    The table goes on behind the last step, so that whoever takes a step too many gets an answer.
    """
    N, S = len(lengths), max_steps + 3
    bos, eos = rng.choice(np.arange(1, V), 2, replace=False)
    table = rng.uniform(0, 1, (S, N, V, V))
    table[:, :, :, eos] = rng.uniform(-1, 0, (S, N, V))
    others = np.setdiff1d(np.arange(V), [eos, bos])
    for n, L in enumerate(lengths):
        token = bos
        for t in range(S):
            said = eos if t == L - 1 else rng.choice(others)
            table[t, n, token, said] = 2.0
            token = said
    return Case(name, (table, np.array(bos), np.array(eos), np.array(max_steps)), **how)  # type: ignore[arg-type]


def _greedy_cases(rng: np.random.Generator) -> Iterator[Case]:
    general = _greedy_case(rng, "4 sequences, 8 steps at most", [3, 6, 2, 4], 7, 8)
    yield general
    yield Case("the same call again", general.inputs)
    yield _greedy_case(rng, "one that never ends", [4, 99, 2], 6, 6)
    yield _greedy_case(rng, "5 sequences, all ended before the last step", [2, 5, 3, 4, 3], 5, 7, layout="strided")
    yield _greedy_case(rng, "one sequence", [3], 6, 5, edge=True)
    yield _greedy_case(rng, "an empty one, and one that ends with the last step", [1, 4], 6, 4, edge=True)


def _greedy_model(table, bos, eos, max_steps):  # type: ignore[no-untyped-def]
    T, N = int(max_steps), table.shape[1]
    token, running = np.full(N, bos), np.ones(N, bool)
    ids, lengths = [], np.zeros(N, int)
    for t in range(T):
        logits = table[t, np.arange(N), token]
        token = np.where(running, logits.argmax(axis=-1), 0)
        ids.append(token)
        lengths = lengths + running
        running = running & (token != eos)
        if not running.any():
            break
    return np.stack(ids), lengths


def _greedy_reference(table: np.ndarray, bos: np.ndarray, eos: np.ndarray, max_steps: np.ndarray) -> Arrays:
    """One sequence after the other."""
    written = []
    for n in range(table.shape[1]):
        ids = [int(bos)]
        while len(ids) <= max_steps and (ids[-1] != eos or len(ids) == 1):
            ids.append(int(np.argmax(table[len(ids) - 1, n, ids[-1]])))
        written.append(ids[1:])
    lengths = np.array([len(ids) for ids in written])
    padded = np.zeros((lengths.max(), len(written)), int)
    for n, ids in enumerate(written):
        padded[: len(ids), n] = ids
    return padded, lengths


GREEDY = Question(
    name="greedy_decode",
    title="Write",
    arguments=("step", "state", "N", "bos", "eos", "max_steps"),
    outputs=("ids", "lengths"),
    axes={"ids": ("step", "sequence"), "lengths": ("sequence",)},
    reference=_greedy_reference,
    cases=_greedy_cases,
    parts=(
        Part("ids", 2, ("ids",)),
        Part("lengths", 1, ("lengths",)),
        Part("one sequence, an empty one", 1, ("ids", "lengths"), edge=True),
    ),
    model=_greedy_model,
    bugs=GREEDY_BUGS,
    lesson=LESSON,
)

QUESTIONS = (
    SOFTMAX,
    SOFTMAX_BACKWARD,
    DOT,
    DOT_BACKWARD,
    ADDITIVE,
    ADDITIVE_BACKWARD,
    INPUTS,
    PROBABILITY,
    GREEDY,
)
