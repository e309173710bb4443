"""What the sets about padding share: lengths that differ, and padding that shows whoever reads it."""

from __future__ import annotations

import numpy as np


def uneven(rng: np.random.Generator, T: int, N: int) -> np.ndarray:
    """Lengths from 2 to T, the longest last, not all of the others alike."""
    lengths = rng.integers(2, T, N)
    lengths[0] = (lengths[-2] - 1) % (T - 2) + 2  # another one than its neighbour's, where there is another
    lengths[-1] = T
    return lengths


def with_padding(rng: np.random.Generator, array: np.ndarray, lengths: np.ndarray, nan: bool) -> np.ndarray:
    """The array (T, N, ...) with garbage, or NaN, on its padding."""
    garbage = rng.choice([-1, 1], array.shape) * rng.uniform(1, 2, array.shape)
    mask = np.arange(len(array))[:, None] < lengths
    return np.where(mask.reshape(*mask.shape, *[1] * (array.ndim - 2)), array, np.nan if nan else garbage)
