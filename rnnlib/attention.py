"""Attention: every query reads a weighted mean of a memory, with weights that it chooses by looking at the keys.

    (1)  e_tk = q_tᵀ k_k / √D                      scaled dot product
         e_tk = vᵀ tanh(W_query q_t + W_key k_k)   additive
    (2)  w_t  = softmax(e_t) over the valid keys
    (3)  c_t  = Σ_k w_tk v_k

    (3') dw_tk = dc_tᵀ v_k          dv_k = Σ_t w_tk dc_t
    (2') de_tk = w_tk (dw_tk - Σ_j w_tj dw_tj)
    (1') and (1) differentiated

Queries are (Tq, N, D), keys and values (Tk, N, ·), weights (Tq, N, Tk): row t of a sequence is one row of its attention
map. A decoder asks with one query at a time, so what does not depend on the query is done once: `remember` drops the
padding, and `project_keys_forward` computes W_key k. No recurrence comes in here.

Reference:
    Bahdanau, Cho and Bengio (2015), Neural machine translation by jointly learning to align and translate.
    Vaswani et al. (2017), Attention is all you need.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths, check_shapes, common_dtype


class Memory(NamedTuple):
    """What queries read, prepared once for all of them."""

    keys: np.ndarray  # (Tk, N, D), zero on padding
    values: np.ndarray  # (Tk, N, Dv), zero on padding
    valid: np.ndarray | None  # (N, Tk), which keys hold data; None: all


class DotCache(NamedTuple):
    queries: np.ndarray
    memory: Memory
    weights: np.ndarray


class DotGradients(NamedTuple):
    dqueries: np.ndarray
    dkeys: np.ndarray
    dvalues: np.ndarray


class ProjectionCache(NamedTuple):
    keys: np.ndarray
    W_key: np.ndarray


class ProjectionGradients(NamedTuple):
    dkeys: np.ndarray
    dW_key: np.ndarray


class AdditiveCache(NamedTuple):
    queries: np.ndarray
    memory: Memory
    W_query: np.ndarray
    v: np.ndarray
    a: np.ndarray  # (Tq, N, Tk, A), the tanh of (1)
    weights: np.ndarray


class AdditiveGradients(NamedTuple):
    dqueries: np.ndarray
    dprojected: np.ndarray
    dvalues: np.ndarray
    dW_query: np.ndarray
    dv: np.ndarray


def masked_softmax(scores: np.ndarray, lengths: ArrayLike | None = None) -> np.ndarray:
    """Equation (2): weights over the last axis that sum to 1 over the valid keys and are 0 on padding.

    Args:
        scores: (..., N, Tk); what stands in the padding is never read.
        lengths: (N,) whole numbers from 0 to Tk, how many keys each sequence has; None: all.

    Returns:
        weights: like scores; all zero where a sequence has no key.

    Raises:
        TypeError: the lengths are not whole numbers, or the scores are not floating.
        ValueError: the shapes do not fit.
    """
    common_dtype({"scores": scores})
    if scores.ndim < 2 or scores.shape[-1] == 0:
        raise ValueError(f"scores has shape {scores.shape}: expected (..., N, Tk) with at least one key")
    return softmax_where(scores, None if lengths is None else valid_keys(lengths, scores.shape[-1], scores.shape[-2]))


def masked_softmax_backward(dweights: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Equation (2'): the gradient of the scores, from that of the weights and the weights themselves, shaped alike.

    Where a weight is 0 the gradient is 0, and dweights is not read.

    Raises:
        ValueError: the shapes differ.
    """
    check_shapes({"dweights": dweights}, {"dweights": (weights.shape, "the shape of the weights")})
    # (2') de_tk = w_tk (dw_tk - Σ_j w_tj dw_tj)
    each = weights * np.where(weights != 0, dweights, 0)
    return each - weights * each.sum(axis=-1, keepdims=True)


def remember(keys: np.ndarray, values: np.ndarray, lengths: ArrayLike | None = None) -> Memory:
    """Prepare what queries will read, once for all of them.

    Args:
        keys: (Tk, N, D), such as the states of an encoder; what stands in the padding is never read.
        values: (Tk, N, Dv), often the keys themselves: their gradients then add up.
        lengths: (N,) whole numbers from 0 to Tk; None: every sequence has Tk keys.

    Returns:
        The memory. It refers to keys and values where nothing is padding: change them only after backward.

    Raises:
        TypeError: integers, or float32 beside float64.
        ValueError: a shape or a length is wrong.
    """
    common_dtype({"keys": keys, "values": values})
    if keys.ndim != 3 or 0 in keys.shape:
        raise ValueError(f"keys has shape {keys.shape}: expected (Tk, N, D), each at least 1")
    if values.ndim != 3 or values.shape[:2] != keys.shape[:2]:
        raise ValueError(f"values has shape {values.shape}: expected {(*keys.shape[:2], 'Dv')}, one for each key")
    Tk, N, _ = keys.shape
    valid = None if lengths is None else valid_keys(lengths, Tk, N)
    if valid is None or valid.all():
        return Memory(keys, values, None)
    held = valid.T[:, :, None]
    clean_keys = np.where(held, keys, 0)
    clean_values = clean_keys if values is keys else np.where(held, values, 0)
    return Memory(clean_keys, clean_values, valid)


def dot_forward(queries: np.ndarray, memory: Memory) -> tuple[np.ndarray, np.ndarray, DotCache]:
    """Scaled dot-product attention, equations (1) to (3).

    Args:
        queries: (Tq, N, D); a decoder gives one step, (1, N, D).
        memory: from `remember`.

    Returns:
        context: (Tq, N, Dv); zero for a sequence without keys.
        weights: (Tq, N, Tk), zero on padding.
        cache: what `dot_backward` needs.

    Raises:
        TypeError: the queries have another dtype than the memory.
        ValueError: the queries have a wrong shape.

    Reference:
        Vaswani et al. (2017), equation 1.
    """
    D = memory.keys.shape[2]
    check_queries(queries, memory, D, "as long as the keys, since the two are multiplied")
    # (1) e_tk = q_tᵀ k_k / √D
    scores = by_sequence(queries) @ memory.keys.transpose(1, 2, 0) / math.sqrt(D)
    # (2) w_t = softmax(e_t)
    weights = softmax_where(scores.swapaxes(0, 1), memory.valid)
    # (3) c_t = Σ_k w_tk v_k
    return read(weights, memory.values), weights, DotCache(queries, memory, weights)


def dot_backward(dcontext: np.ndarray, cache: DotCache) -> DotGradients:
    """Gradients of `dot_forward`: dcontext (Tq, N, Dv) gives dqueries, dkeys and dvalues, zero on padding.

    Raises:
        ValueError: dcontext has another shape than context.
    """
    queries, memory, weights = cache
    dscores, dvalues = read_backward(dcontext, weights, memory.values)
    # (1') dq_t = Σ_k de_tk k_k / √D, dk_k = Σ_t de_tk q_t / √D
    dscores = dscores / math.sqrt(queries.shape[2])
    return DotGradients(read(dscores, memory.keys), write(dscores, queries), dvalues)


def project_keys_forward(memory: Memory, W_key: np.ndarray) -> tuple[Memory, ProjectionCache]:
    """Put W_key k in the place of the keys, once for all queries of additive attention.

    Args:
        memory: from `remember`, with keys (Tk, N, D).
        W_key: (A, D).

    Returns:
        A memory with keys (Tk, N, A), and the cache for `project_keys_backward`.

    Raises:
        TypeError: W_key has another dtype than the keys.
        ValueError: the shapes do not fit.
    """
    common_dtype({"keys": memory.keys, "W_key": W_key})
    D = memory.keys.shape[2]
    if W_key.ndim != 2 or W_key.shape[1] != D:
        raise ValueError(f"W_key has shape {W_key.shape}: expected (A, D) with D = {D}, the length of a key")
    # (1) W_key k_k
    return memory._replace(keys=memory.keys @ W_key.T), ProjectionCache(memory.keys, W_key)


def project_keys_backward(dprojected: np.ndarray, cache: ProjectionCache) -> ProjectionGradients:
    """Gradients of `project_keys_forward`, from dprojected (Tk, N, A) summed over all calls of `additive_backward`.

    Raises:
        ValueError: dprojected has another shape than the projected keys.
    """
    keys, W_key = cache
    (A, D), shape = W_key.shape, (*keys.shape[:2], len(W_key))
    check_shapes({"dprojected": dprojected}, {"dprojected": (shape, "that of the projected keys")})
    # (1') dk_k = W_keyᵀ dp_k, dW_key = Σ dp_k k_kᵀ
    return ProjectionGradients(dprojected @ W_key, dprojected.reshape(-1, A).T @ keys.reshape(-1, D))


def additive_forward(
    queries: np.ndarray, memory: Memory, W_query: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray, AdditiveCache]:
    """Additive attention, equations (1) to (3).

    Args:
        queries: (Tq, N, D); a decoder gives one step, (1, N, D).
        memory: from `project_keys_forward`, with keys (Tk, N, A).
        W_query: (A, D).
        v: (A,).

    Returns:
        context: (Tq, N, Dv); zero for a sequence without keys.
        weights: (Tq, N, Tk), zero on padding.
        cache: what `additive_backward` needs.

    Raises:
        TypeError: the arrays are of several precisions.
        ValueError: a shape is wrong.

    Reference:
        Bahdanau, Cho and Bengio (2015), equations 5 and 6 and appendix A.1.2.
    """
    A = memory.keys.shape[2]
    common_dtype({"queries": queries, "W_query": W_query, "v": v})
    if W_query.ndim != 2 or len(W_query) != A or v.shape != (A,):
        raise ValueError(
            f"W_query {W_query.shape} and v {v.shape} do not fit a memory with keys of length {A}: expected (A, D) and "
            "(A,); did the memory go through `project_keys_forward`?"
        )
    check_queries(queries, memory, W_query.shape[1], "one number for each column of W_query")
    # (1) e_tk = vᵀ tanh(W_query q_t + W_key k_k)
    a = (queries @ W_query.T)[:, :, None, :] + by_sequence(memory.keys)
    np.tanh(a, out=a)
    # (2) w_t = softmax(e_t)
    weights = softmax_where(a @ v, memory.valid)
    # (3) c_t = Σ_k w_tk v_k
    return read(weights, memory.values), weights, AdditiveCache(queries, memory, W_query, v, a, weights)


def additive_backward(dcontext: np.ndarray, cache: AdditiveCache) -> AdditiveGradients:
    """Gradients of `additive_forward`: dcontext (Tq, N, Dv) gives one for everything that went in, zero on padding.

    A decoder adds up `dprojected` over its steps and gives the sum to `project_keys_backward`, once.

    Raises:
        ValueError: dcontext has another shape than context.
    """
    queries, memory, W_query, v, a, weights = cache
    A, D = W_query.shape
    dscores, dvalues = read_backward(dcontext, weights, memory.values)
    # (1') dv = Σ de_tk tanh(·), ds_tk = de_tk v ⊙ (1 - tanh²)
    dv = dscores.reshape(-1) @ a.reshape(-1, A)
    ds = 1 - a * a
    ds *= dscores[..., None]
    ds *= v
    # (1') d(W_key k_k) = Σ_t ds_tk, d(W_query q_t) = Σ_k ds_tk
    dprojected, dp = np.ascontiguousarray(ds.sum(axis=0).swapaxes(0, 1)), ds.sum(axis=2)
    # (1') dq_t = W_queryᵀ d(W_query q_t), dW_query = Σ d(W_query q_t) q_tᵀ
    return AdditiveGradients(dp @ W_query, dprojected, dvalues, dp.reshape(-1, A).T @ queries.reshape(-1, D), dv)


def softmax_where(scores: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Equation (2) for scores (..., N, Tk) and valid keys (N, Tk), None: all."""
    # w_tk = exp(e_tk - max e_t) / Σ_j exp(e_tj - max e_t)
    if valid is None:
        e = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)
    some = valid.any(axis=-1, keepdims=True)
    largest = np.where(some, np.where(valid, scores, -np.inf).max(axis=-1, keepdims=True), 0)
    e = np.where(valid, np.exp(np.where(valid, scores - largest, 0)), 0)
    return e / np.where(some, e.sum(axis=-1, keepdims=True), 1)


def read(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Equation (3): (Tq, N, Tk) and (Tk, N, D) give Σ_k w_tk v_k, (Tq, N, D)."""
    context = np.empty((*weights.shape[:2], values.shape[2]), np.result_type(weights, values))
    np.matmul(by_sequence(weights), by_sequence(values), out=by_sequence(context))
    return context


def write(weights: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The mirror of `read`: (Tq, N, Tk) and (Tq, N, D) give Σ_t w_tk g_t, (Tk, N, D)."""
    if len(weights) == 1:  # a GEMM over one step takes 4 to 9 times as long
        return np.einsum("qnk,qnd->knd", weights, gradient)
    written = np.empty((weights.shape[2], *gradient.shape[1:]), np.result_type(weights, gradient))
    np.matmul(weights.transpose(1, 2, 0), by_sequence(gradient), out=by_sequence(written))
    return written


def read_backward(dcontext: np.ndarray, weights: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equations (3') and (2'): the gradients of the scores (Tq, N, Tk) and of the values (Tk, N, Dv).

    Raises:
        ValueError: dcontext has another shape than context.
    """
    shape = (*weights.shape[:2], values.shape[2])
    check_shapes({"dcontext": dcontext}, {"dcontext": (shape, "the shape of what forward returned as context")})
    # (3') dw_tk = dc_tᵀ v_k, dv_k = Σ_t w_tk dc_t
    dweights = by_sequence(by_sequence(dcontext) @ values.transpose(1, 2, 0))
    dvalues = write(weights, dcontext)
    # (2') de_tk = w_tk (dw_tk - Σ_j w_tj dw_tj)
    return masked_softmax_backward(dweights, weights), dvalues


def by_sequence(a: np.ndarray) -> np.ndarray:
    """(T, N, D) -> (N, T, D), as a batch of matrices for @; and back."""
    return a.swapaxes(0, 1)


def valid_keys(lengths: ArrayLike, Tk: int, N: int) -> np.ndarray:
    """Which keys hold data, (N, Tk); errors as in `check_lengths`."""
    return np.arange(Tk) < check_lengths(lengths, Tk, N)[:, None]


def check_queries(queries: np.ndarray, memory: Memory, D: int, cause: str) -> None:
    """Whether the queries fit the memory.

    Raises:
        TypeError: they have another dtype.
        ValueError: they have another shape than (Tq, N, D).
    """
    common_dtype({"queries": queries, "keys": memory.keys, "values": memory.values})
    if queries.ndim != 3:
        raise ValueError(f"queries has shape {queries.shape}: expected (Tq, N, D); one step (N, D) becomes q[None]")
    Tk, N, _ = memory.keys.shape
    if queries.shape[1] != N:
        raise ValueError(
            f"queries has shape {queries.shape} and the memory (Tk, N) = {(Tk, N)}: expected (Tq, N, D) with the same "
            "N; rnnlib is time-major, transpose with queries.swapaxes(0, 1)"
        )
    if queries.shape[2] != D:
        raise ValueError(f"queries has shape {queries.shape}: expected a last axis of {D}, {cause}")
