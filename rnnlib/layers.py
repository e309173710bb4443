"""Layers without a memory of their own, as stateless forward and backward pairs. No recurrence comes in here."""

from typing import NamedTuple

import numpy as np


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
