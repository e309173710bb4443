"""What training makes small. A loss comes with its gradient, and padding counts in neither. No parameters live here.

Every loss is a mean over what is valid, or a sum: sums of micro-batches with different numbers of tokens add up to the
sum of one large batch, and divided by the number of all tokens to its mean. A mean of means does not.
"""

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
    logits: np.ndarray, targets: np.ndarray, lengths: ArrayLike | None = None, *, reduction: str = "mean"
) -> tuple[np.floating, np.ndarray]:
    """Mean of -log softmax(logits)[target] over the valid positions, in nats, with its gradient.

    Args:
        logits: (..., V); (T, N, V) where lengths are given. What stands in the padding is never read.
        targets: (...), whole numbers from 0 to V - 1; on padding anything, such as -1.
        lengths: (N,); None: every position is valid.
        reduction: "mean", or "sum" over the valid positions.

    Returns:
        loss: a scalar.
        dlogits: like logits, zero on padding.

    Raises:
        TypeError: the targets are not whole numbers.
        ValueError: the shapes do not fit, a target is no class, the reduction is unknown, or a mean has no position.

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
    M = divisor(classes.size, reduction)
    V = logits.shape[-1]
    if classes.size and (classes.min() < 0 or classes.max() >= V):
        raise ValueError(f"targets run from {classes.min()} to {classes.max()}: each must lie in 0 to V - 1 = {V - 1}")

    rows = np.arange(classes.size)
    log_p = log_softmax(logits[valid])
    # loss = -(1/M) Σ log p[target]
    loss = -log_p[rows, classes].sum() / M
    # dlogits = (p - onehot(target)) / M
    dz = np.exp(log_p)
    dz[rows, classes] -= 1
    return loss, spread(dz / M, valid, logits)


def binary_cross_entropy(
    logits: np.ndarray, targets: ArrayLike, lengths: ArrayLike | None = None, *, reduction: str = "mean"
) -> tuple[np.floating, np.ndarray]:
    """Mean of -y log σ(z) - (1 - y) log(1 - σ(z)) over the valid entries, in nats, with its gradient.

    Args:
        logits: z, any shape, one yes or no for each entry; (T, N, ...) where lengths are given. What stands in the
            padding is never read.
        targets: y, like logits, from 0 to 1 (or bool); on padding anything.
        lengths: (N,); None: every position is valid.
        reduction: "mean", or "sum" over the valid entries.

    Returns:
        loss: a scalar.
        dlogits: like logits, zero on padding.

    Raises:
        ValueError: the shapes do not fit, a target is no probability, the reduction is unknown, or a mean has no entry.
    """
    z, y, valid = valid_entries(logits, targets, lengths)
    if not ((y >= 0) & (y <= 1)).all():
        raise ValueError(
            f"targets run from {y.min()} to {y.max()}: each must lie in 0 to 1, where 1 says yes; labels of -1 and 1 "
            "become (targets + 1) / 2, and more than two classes take `cross_entropy`"
        )
    M = divisor(z.size, reduction)
    # loss = (1/M) Σ max(z, 0) - y z + log(1 + e^-|z|)
    size = np.where(z > 0, z, -z)  # |z|; np.abs would lose a complex step
    e = np.exp(-size)
    loss = (np.maximum(z, 0) - y * z + np.log1p(e)).sum() / M
    # dlogits = (σ(z) - y) / M
    p = np.where(z > 0, 1, e) / (1 + e)
    return loss, spread((p - y) / M, valid, logits)


def mean_squared_error(
    predictions: np.ndarray, targets: ArrayLike, lengths: ArrayLike | None = None, *, reduction: str = "mean"
) -> tuple[np.floating, np.ndarray]:
    """Mean of (prediction - target)² over the valid entries, in the targets' unit squared, with its gradient.

    Args:
        predictions: any shape; (T, N, ...) where lengths are given. What stands in the padding is never read.
        targets: like predictions; on padding anything.
        lengths: (N,); None: every position is valid.
        reduction: "mean", or "sum" over the valid entries.

    Returns:
        loss: a scalar.
        dpredictions: like predictions, zero on padding.

    Raises:
        ValueError: the shapes do not fit, the reduction is unknown, or a mean has no entry.
    """
    p, y, valid = valid_entries(predictions, targets, lengths)
    M = divisor(p.size, reduction)
    error = p - y
    # loss = (1/M) Σ (p - y)², dpredictions = 2 (p - y) / M
    return (error * error).sum() / M, spread(2 * error / M, valid, predictions)


def valid_entries(
    outputs: np.ndarray, targets: ArrayLike, lengths: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The valid outputs, their targets in the outputs' precision, and where they stand.

    Raises:
        ValueError: the two differ in shape (broadcasting one would silently compare every pair), or lengths do not fit.
    """
    targets = np.asarray(targets)
    if targets.shape != outputs.shape:
        raise ValueError(
            f"targets has shape {targets.shape}: expected {outputs.shape}, one number for each output; a last axis of "
            "length 1 goes with outputs[..., 0]"
        )
    valid = valid_positions(outputs.shape[: 2 if lengths is not None else None], lengths)
    z = outputs[valid]
    return z, targets[valid].astype(z.real.dtype, copy=False), valid


def divisor(count: int, reduction: str) -> int:
    """What a sum over so many valid entries is divided by.

    Raises:
        ValueError: the reduction is unknown, or a mean over nothing was asked for.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}: expected 'mean' or 'sum'")
    if reduction == "mean" and count == 0:
        raise ValueError("no position is valid: the mean over nothing is not a number; is every length 0?")
    return count if reduction == "mean" else 1


def spread(gradient: np.ndarray, valid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The gradient of the valid positions at their places, zero on padding."""
    everywhere = np.zeros(outputs.shape, outputs.dtype)
    everywhere[valid] = gradient
    return everywhere


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
