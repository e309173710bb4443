"""The losses of `rnnlib.losses` in torch: in float32 at least, padding never read, and the host never made to wait."""

import torch

from rnnlib.torchref.models.batch import Counts, check_range, is_whole, valid_steps

PADDING = torch.iinfo(torch.int64).min  # no class: torch leaves out positions that have it


def wide(x: torch.Tensor) -> torch.Tensor:
    """In its own precision, in float32 where that is lower."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, counts: Counts) -> torch.Tensor:
    """Mean of -log softmax(logits)[target] over the valid positions, in nats.

    Args:
        logits: (..., V); (T, N, V) where there are counts.
        targets: (...), whole numbers from 0 to V - 1; on padding anything.
        counts: how many steps of each sequence are valid; None: all.

    Raises:
        TypeError: the targets are not whole numbers.
        ValueError: the shapes do not fit, a target on the host is no class, or no position is valid.
    """
    if not is_whole(targets):
        raise TypeError(f"targets has dtype {targets.dtype}: expected whole numbers, one class for each position")
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets has shape {tuple(targets.shape)}: expected {tuple(logits.shape[:-1])}, the logits' shape without "
            "its last axis; a one-hot target becomes a class by argmax(axis=-1)"
        )
    M, V, valid = divisor(targets, counts), logits.shape[-1], valid_steps(counts, targets)
    check_range("targets", targets, V, valid)
    classes = targets.long() if valid is None else torch.where(valid, targets.long(), PADDING)
    classes = classes.to(logits.device, non_blocking=True)
    # loss = -(1/M) Σ log p[target]
    rows = wide(logits).reshape(-1, V), classes.reshape(-1)
    return torch.nn.functional.cross_entropy(*rows, ignore_index=PADDING, reduction="sum") / M


def mean_squared_error(predictions: torch.Tensor, targets: torch.Tensor, counts: Counts) -> torch.Tensor:
    """Mean of (prediction - target)² over the valid entries, in the targets' unit squared.

    Args:
        predictions: any shape; (T, N, D) where there are counts.
        targets: like predictions; on padding anything.
        counts: how many steps of each sequence are valid; None: all.

    Raises:
        ValueError: the shapes differ, or no entry is valid.
    """
    if targets.shape != predictions.shape:
        raise ValueError(
            f"targets has shape {tuple(targets.shape)}: expected {tuple(predictions.shape)}, one number for each "
            "output; a last axis of length 1 goes with outputs[..., 0]"
        )
    M = divisor(targets, counts)
    p = wide(predictions)
    y = targets.to(p.device, p.dtype, non_blocking=True)
    valid = valid_steps(counts, y)
    error = p - y if valid is None else torch.where(valid[..., None], p - y, 0)
    # loss = (1/M) Σ (p - y)²
    return (error * error).sum() / M


def divisor(targets: torch.Tensor, counts: Counts) -> int:
    """How many entries a mean is over.

    Raises:
        ValueError: none.
    """
    M = targets.numel() if counts is None else sum(counts) * targets[0, 0].numel()
    if not M:
        raise ValueError("no position is valid: the mean over nothing is not a number; is every length 0?")
    return M
