"""Layers without a memory of their own, as stateless forward and backward pairs. No recurrence comes in here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_shapes, common_dtype


class LinearCache(NamedTuple):
    x: np.ndarray
    W: np.ndarray


class LinearGradients(NamedTuple):
    dx: np.ndarray
    dW: np.ndarray
    db: np.ndarray


def linear_forward(x: np.ndarray, W: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, LinearCache]:
    """y = W x + b for every leading position.

    Args:
        x: (..., D).
        W: (V, D), torch's layout.
        b: (V,).

    Returns:
        y: (..., V), and the cache for `linear_backward`.

    Raises:
        ValueError: the shapes do not fit.
    """
    if W.ndim != 2 or x.shape[-1:] != W.shape[1:] or b.shape != W.shape[:1]:
        raise ValueError(
            f"x {x.shape}, W {W.shape} and b {b.shape} do not fit: expected (..., D), (V, D) and (V,); "
            "is W transposed? torch's layout has one row for each output"
        )
    # y = W x + b
    return x @ W.T + b, LinearCache(x, W)


def linear_backward(dy: np.ndarray, cache: LinearCache) -> LinearGradients:
    """Gradients of `linear_forward`, summed over all leading positions: dy (..., V) gives dx (..., D), dW and db.

    Raises:
        ValueError: dy has another shape than y.
    """
    x, W = cache
    if dy.shape != (*x.shape[:-1], len(W)):
        raise ValueError(f"dy has shape {dy.shape}: expected {(*x.shape[:-1], len(W))}, as `linear_forward` returned y")
    dy_rows, x_rows = dy.reshape(-1, len(W)), x.reshape(-1, x.shape[-1])
    # dx = Wᵀ dy, dW = Σ dy xᵀ, db = Σ dy
    return LinearGradients(dy @ W, dy_rows.T @ x_rows, dy_rows.sum(axis=0))


class EmbeddingCache(NamedTuple):
    ids: np.ndarray
    shape: tuple[int, ...]  # of W
    padding_id: int | None


def embedding_forward(
    ids: ArrayLike, W: np.ndarray, padding_id: int | None = None
) -> tuple[np.ndarray, EmbeddingCache]:
    """The vector of each token.

    Args:
        ids: (...), whole numbers from 0 to V - 1.
        W: (V, D), one row for each token of the vocabulary.
        padding_id: the token that fills up a batch; its row gets no gradient.

    Returns:
        x: (..., D), and the cache for `embedding_backward`.

    Raises:
        TypeError: the ids are not whole numbers, or W is not floating.
        ValueError: W is not a matrix, or an id or the padding_id is no row of it.
    """
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"ids has dtype {ids.dtype}: expected whole numbers, one token for each position")
    common_dtype({"W": W})
    if W.ndim != 2:
        raise ValueError(f"W has shape {W.shape}: expected (V, D), one row for each token")
    V = len(W)
    if ids.size and (ids.min() < 0 or ids.max() >= V):
        raise ValueError(
            f"ids run from {ids.min()} to {ids.max()}: each must lie in 0 to V - 1 = {V - 1}; is W as long as the "
            "vocabulary, and does padding have an id of its own?"
        )
    if padding_id is not None and not 0 <= padding_id < V:
        raise ValueError(f"padding_id is {padding_id}: expected one of the tokens, 0 to V - 1 = {V - 1}")
    # x = W[id]
    return W[ids], EmbeddingCache(ids, W.shape, padding_id)


def embedding_backward(dx: np.ndarray, cache: EmbeddingCache) -> np.ndarray:
    """Gradient of `embedding_forward`: dx (..., D) gives dW (V, D), where the gradients of a repeated token add up.

    What stands in dx at a padding_id is never read.

    Raises:
        ValueError: dx has another shape than x.
    """
    ids, (V, D), padding_id = cache
    check_shapes({"dx": dx}, {"dx": ((*ids.shape, D), "the shape of what `embedding_forward` returned")})
    read = np.ones(ids.shape, bool) if padding_id is None else ids != padding_id
    # dW_v = Σ dx over the positions where id = v (bincount of entries: np.add.at takes 3 to 5 times as long)
    entries = ids[read].astype(np.int64)[:, None] * D + np.arange(D)
    return np.bincount(entries.ravel(), dx[read].ravel(), V * D).reshape(V, D).astype(dx.dtype, copy=False)


class LayerNormCache(NamedTuple):
    normal: np.ndarray  # x with mean 0 and variance 1
    scale: np.ndarray  # 1 / standard deviation
    gain: np.ndarray
    has_bias: bool


class LayerNormGradients(NamedTuple):
    dx: np.ndarray
    dgain: np.ndarray
    dbias: np.ndarray | None


def layer_norm_forward(
    x: np.ndarray, gain: np.ndarray, bias: np.ndarray | None, eps: float = 1e-5
) -> tuple[np.ndarray, LayerNormCache]:
    """Give every position mean 0 and variance 1 over its D entries, then a learned gain and bias.

    Args:
        x: (..., D).
        gain: (D,).
        bias: (D,); None: no bias, as where a bias is added later anyway.
        eps: added to the variance, so that a constant position gives zero instead of 0/0.

    Returns:
        y: (..., D), and the cache for `layer_norm_backward`.

    Raises:
        TypeError: the arrays are not floating, or of several precisions.
        ValueError: the shapes do not fit.

    Reference:
        Ba, Kiros and Hinton (2016), Layer normalization, equation 4.
    """
    arrays = {"x": x, "gain": gain} if bias is None else {"x": x, "gain": gain, "bias": bias}
    common_dtype(arrays)
    D = x.shape[-1] if x.ndim else 0
    if not D:
        raise ValueError(f"x has shape {x.shape}: expected (..., D) with D at least 1")
    cause = "one number for each entry of the last axis of x"
    check_shapes(arrays, dict.fromkeys([*arrays][1:], ((D,), cause)))
    # μ = (1/D) Σ x_d
    normal = x - x.sum(axis=-1, keepdims=True) / D
    # 1/σ = 1 / √((1/D) Σ (x_d - μ)² + eps)
    scale = 1 / np.sqrt((normal * normal).sum(axis=-1, keepdims=True) / D + eps)
    # x̂ = (x - μ) / σ
    normal *= scale
    # y = gain ⊙ x̂ + bias
    y = normal * gain
    return y if bias is None else y + bias, LayerNormCache(normal, scale, gain, bias is not None)


def layer_norm_backward(dy: np.ndarray, cache: LayerNormCache) -> LayerNormGradients:
    """Gradients of `layer_norm_forward`: dy (..., D) gives dx (..., D), dgain (D,) and dbias (D,), None without bias.

    Raises:
        ValueError: dy has another shape than y.
    """
    normal, scale, gain, has_bias = cache
    check_shapes({"dy": dy}, {"dy": (normal.shape, "the shape of what `layer_norm_forward` returned")})
    D = len(gain)
    # dx̂ = gain ⊙ dy
    dnormal = dy * gain
    # dx = (dx̂ - mean dx̂ - x̂ mean(dx̂ ⊙ x̂)) / σ
    along = (dnormal * normal).sum(axis=-1, keepdims=True) / D
    dx = (dnormal - dnormal.sum(axis=-1, keepdims=True) / D - normal * along) * scale
    # dgain = Σ dy ⊙ x̂, dbias = Σ dy
    dgain = (dy * normal).reshape(-1, D).sum(axis=0)
    return LayerNormGradients(dx, dgain, dy.reshape(-1, D).sum(axis=0) if has_bias else None)


class DropoutCache(NamedTuple):
    shape: tuple[int, ...]
    kept: np.ndarray | None  # of length 1 along shared axes; None: everything was kept
    scale: float


def dropout_forward(
    x: np.ndarray, p: float, rng: np.random.Generator | None, shared_axes: Sequence[int] = ()
) -> tuple[np.ndarray, DropoutCache]:
    """Set entries to zero with probability p and scale up the others, so that the expected value stays the same.

    Args:
        x: any shape, such as (T, N, D).
        p: from 0 to below 1.
        rng: where the randomness comes from; None: evaluation, nothing is dropped.
        shared_axes: axes along which one choice holds. (0,) on (T, N, D) drops the same units at every step, which is
            variational dropout; (1,) on an embedding matrix (V, D) drops whole tokens.

    Returns:
        y: like x (x itself where nothing is dropped), and the cache for `dropout_backward`.

    Raises:
        TypeError: rng is no Generator, or x is not floating.
        ValueError: p is not a probability below 1, or x has no such axis.

    Reference:
        Srivastava et al. (2014), Dropout. Gal and Ghahramani (2016), A theoretically grounded application of dropout in
        recurrent neural networks: shared over time, and over an embedding's columns.
    """
    if not 0 <= p < 1:
        raise ValueError(f"p is {p}: expected the probability to drop an entry, from 0 to below 1 (1 keeps nothing)")
    if not isinstance(rng, np.random.Generator | None):
        raise TypeError(
            f"rng is {rng!r}: expected a Generator or None; a seed would drop the same entries at every call, so make "
            "one Generator with np.random.default_rng(seed) and hand it on"
        )
    common_dtype({"x": x})
    shared = normalize_axis_tuple(tuple(shared_axes), x.ndim, "shared_axes")
    if rng is None or p == 0:
        return x, DropoutCache(x.shape, None, 1.0)
    kept = rng.random([1 if axis in shared else n for axis, n in enumerate(x.shape)]) >= p
    scale = 1 / (1 - float(p))
    # y = x / (1 - p) where kept, else 0
    return np.where(kept, x * scale, 0), DropoutCache(x.shape, kept, scale)


def dropout_backward(dy: np.ndarray, cache: DropoutCache) -> np.ndarray:
    """Gradient of `dropout_forward`: dy, shaped like y, gives dx, zero where an entry was dropped.

    Raises:
        ValueError: dy has another shape than y.
    """
    shape, kept, scale = cache
    check_shapes({"dy": dy}, {"dy": (shape, "the shape of what `dropout_forward` returned")})
    # dx = dy / (1 - p) where kept, else 0
    return dy if kept is None else np.where(kept, dy * scale, 0)
