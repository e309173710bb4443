"""What is dropped outside of the recurrent layers: from a NumPy Generator the very entries that rnnlib drops."""

from collections.abc import Sequence

import numpy as np
import torch

from rnnlib.torchref.noise import Rng


def check_rng(rng: Rng | None) -> None:
    """Whether it can draw.

    Raises:
        TypeError: it is no Generator.
    """
    if not isinstance(rng, np.random.Generator | torch.Generator | None):
        raise TypeError(
            f"rng is {rng!r}: expected a NumPy Generator, for rnnlib's masks, a torch.Generator, or None for "
            "evaluation; a seed would drop the same entries at every call"
        )


def below(rate: float, shape: Sequence[int], rng: Rng, device: torch.device) -> torch.Tensor:
    """Which of so many draws from 0 to 1 lie below a rate: bool, on the device."""
    if isinstance(rng, np.random.Generator):
        return torch.from_numpy(rng.random(tuple(shape)) < rate).to(device, non_blocking=True)
    return (torch.rand(tuple(shape), generator=rng, device=rng.device) < rate).to(device)


def drop(x: torch.Tensor, rate: float, rng: Rng | None) -> torch.Tensor:
    """Entries set to zero with a probability and the others scaled up, as `rnnlib.layers.dropout_forward`."""
    if rng is None or not rate:
        return x
    # y = x / (1 - p) where kept, else 0
    return torch.where(below(rate, x.shape, rng, x.device), 0, x * (1 / (1 - rate)))
