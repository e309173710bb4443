"""A whole sequence as one vector: the last state, or the mean over the valid steps."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import valid_positions
from rnnlib.recurrent.stack import Stack

POOLINGS = "last", "mean"


class LastCache(NamedTuple):
    sweeps: int  # K * directions
    states: int  # h, or h and c
    directions: int


class MeanCache(NamedTuple):
    weights: np.ndarray  # (T, N), 1 / length on valid steps


def pool_forward(
    how: str, hs: np.ndarray, state: Any, lengths: ArrayLike | None, layer: Stack
) -> tuple[np.ndarray, LastCache | MeanCache]:
    """One vector for each sequence.

    Args:
        how: "last" or "mean".
        hs: (T, N, H * directions), the layer's output.
        state: the layer's last state.
        lengths: (N,); None: every sequence has T steps.
        layer: that gave them.

    Returns:
        (N, H * directions), and the cache for `pool_backward`.
    """
    if how == "last":
        h = state[0] if isinstance(state, tuple) else state
        pooled = np.concatenate(list(h[-layer.directions :]), axis=1)
        return pooled, LastCache(len(h), len(layer.state_names), layer.directions)
    valid = valid_positions(hs.shape[:2], lengths)
    # m = (1/length) Σ_t h_t
    weights = (valid / np.maximum(valid.sum(axis=0), 1)).astype(hs.real.dtype)
    return np.einsum("tn,tnh->nh", weights, hs), MeanCache(weights)


def pool_backward(dpooled: np.ndarray, cache: LastCache | MeanCache) -> tuple[np.ndarray | None, Any]:
    """The gradients of the layer's output and of its last state, None where nothing was read."""
    if isinstance(cache, MeanCache):
        # dh_t = dm / length
        return cache.weights[:, :, None] * dpooled, None
    sweeps, states, directions = cache
    parts = np.split(dpooled, directions, axis=1)
    dh = np.zeros((sweeps, *parts[0].shape), dpooled.dtype)
    dh[-directions:] = parts
    return None, dh if states == 1 else (dh, *[np.zeros_like(dh)] * (states - 1))
