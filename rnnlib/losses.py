"""What training makes small. A loss comes with its gradient, and padding counts in neither. No parameters live here."""

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths


def log_softmax(z: np.ndarray) -> np.ndarray:
    """log softmax over the last axis; exact where softmax itself would round to zero."""
    # log p_v = z_v - max z - log Σ_w exp(z_w - max z)
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(z: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis; the largest logit is subtracted first, so that nothing overflows."""
    # p_v = exp(z_v) / Σ_w exp(z_w)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy(
    logits: np.ndarray, targets: np.ndarray, lengths: ArrayLike | None = None
) -> tuple[np.floating, np.ndarray]:
    """Mean of -log softmax(logits)[target] over the valid positions, in nats, with its gradient.

    Args:
        logits: (..., V); (T, N, V) where lengths are given. What stands in the padding is never read.
        targets: (...), whole numbers from 0 to V - 1; on padding anything, such as -1.
        lengths: (N,); None: every position is valid.

    Returns:
        loss: a scalar.
        dlogits: like logits, zero on padding.

    Raises:
        TypeError: the targets are not whole numbers.
        ValueError: the shapes do not fit, a target is no class, or no position is valid.

    Reference:
        Bridle (1990), Training stochastic model recognition algorithms as networks: softmax minus one-hot.
    """
    targets = np.asarray(targets)
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets has dtype {targets.dtype}: expected whole numbers, one class for each position")
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets has shape {targets.shape}: expected {logits.shape[:-1]}, the logits' shape without its "
            "last axis; a one-hot target becomes a class by argmax(axis=-1)"
        )
    valid = valid_positions(targets.shape, lengths)
    classes = targets[valid]
    if classes.size == 0:
        raise ValueError("no position is valid: the mean over nothing is not a number; is every length 0?")
    V = logits.shape[-1]
    if classes.min() < 0 or classes.max() >= V:
        raise ValueError(f"targets run from {classes.min()} to {classes.max()}: each must lie in 0 to V - 1 = {V - 1}")

    rows = np.arange(classes.size)
    log_p = log_softmax(logits[valid])
    # loss = -(1/M) Σ log p[target]
    loss = -log_p[rows, classes].mean()
    # dlogits = (p - onehot(target)) / M
    dz = np.exp(log_p)
    dz[rows, classes] -= 1
    dlogits = np.zeros(logits.shape, logits.dtype)
    dlogits[valid] = dz / classes.size
    return loss, dlogits


def valid_positions(shape: tuple[int, ...], lengths: ArrayLike | None) -> np.ndarray:
    """Which positions of a (T, N) batch hold data; all of them where there are no lengths.

    Raises:
        ValueError: lengths come with something that is not a (T, N) batch, or do not fit it.
    """
    if lengths is None:
        return np.ones(shape, bool)
    if len(shape) != 2:
        raise ValueError(f"lengths go with logits (T, N, V) and targets (T, N); targets has shape {shape}")
    T, N = shape
    return np.arange(T)[:, None] < check_lengths(lengths, T, N)
