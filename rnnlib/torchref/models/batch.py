"""A batch's arguments, which come as arrays, lists or tensors, as tensors where they are needed.

What stands in the padding goes no further than here: an id becomes 0. Lengths become whole numbers on the host.
"""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths
from rnnlib.torchref.run import Lengths, within

Values: TypeAlias = torch.Tensor | ArrayLike
Counts: TypeAlias = list[int] | None


def as_tensor(values: Values) -> torch.Tensor:
    """The values as a tensor; whole numbers of NumPy become int64, which every torch operation knows."""
    if isinstance(values, torch.Tensor):
        return values
    array = np.asarray(values)
    return torch.tensor(array.astype(np.int64) if array.dtype.kind in "iu" else array)


def is_whole(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds whole numbers; bool does not count, as in NumPy's kinds."""
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


def counted(lengths: Lengths | None, shape: Any) -> Counts:
    """Lengths of a batch of shape (T, N, ...), on the host; None where no step is padding, or it has another shape.

    Raises:
        TypeError, ValueError: as `rnnlib.cells.sequences.check_lengths`.
    """
    if lengths is None or len(shape) < 2:
        return None
    T, N = shape[:2]
    counts = check_lengths(lengths.cpu().numpy() if isinstance(lengths, torch.Tensor) else lengths, T, N)
    return None if (counts == T).all() else counts.tolist()


def valid_steps(counts: Counts, batch: torch.Tensor) -> torch.Tensor | None:
    """Which steps of a batch (T, N, ...) hold data, (T, N), on its device; None: all."""
    return None if counts is None else within(counts, batch)[..., 0]


def tokens(ids: torch.Tensor, counts: Counts, vocabulary: int, device: torch.device) -> torch.Tensor:
    """Ids (T, N) on the device, zero on padding.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: one on the host is no token.
    """
    if not is_whole(ids):
        raise TypeError(f"ids has dtype {ids.dtype}: expected whole numbers, one token for each position")
    valid = valid_steps(counts, ids)
    check_range("ids", ids, vocabulary, valid)
    ids = ids.long() if valid is None else torch.where(valid, ids.long(), 0)
    return ids.to(device, non_blocking=True)


def numbers(name: str, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Floating values in the dtype and on the device of another tensor.

    Raises:
        TypeError: they are whole numbers.
    """
    if not values.is_floating_point():
        raise TypeError(f"{name} has dtype {values.dtype}: expected floating point; ids go with a vocabulary_size")
    return values.to(like.device, like.dtype, non_blocking=True)


def check_range(name: str, ids: torch.Tensor, V: int, valid: torch.Tensor | None) -> None:
    """Whether the valid ids on the host lie in 0 to V - 1; those on a GPU are not looked at.

    Raises:
        ValueError: one does not.
    """
    if ids.device.type != "cpu":
        return
    ids = ids if valid is None else ids[valid]
    if not ids.numel():
        return
    low, high = (int(end) for end in torch.aminmax(ids))
    if low < 0 or high >= V:
        raise ValueError(f"{name} run from {low} to {high}: each must lie in 0 to V - 1 = {V - 1}")
