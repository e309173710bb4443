"""What is dropped and held in training, drawn before the loop runs: from a NumPy Generator the very masks that rnnlib's
layer draws from it, so that training too can be compared to the last digit; from a torch Generator, on its own device.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch

from rnnlib.cells.sequences import plan
from rnnlib.recurrent.stack import MAX_SEED

Rng: TypeAlias = np.random.Generator | torch.Generator


class Noise(NamedTuple):
    """Masks by layer and by sweep (layer by layer, forward before reverse); None where nothing is dropped.

    Attributes:
        inputs: for each layer what its inputs are multiplied by, (T, N, D) or, held over a sequence, (1, N, D).
        hidden: for each sweep what the recurrent weights' view of h is multiplied by, (N, H).
        held: for each sweep and each of its states d_t, (T, N, H), 1 where an entry is held.
    """

    inputs: list[torch.Tensor | None]
    hidden: list[torch.Tensor | None]
    held: list[tuple[torch.Tensor, ...] | None]


def draw(module: Any, x: torch.Tensor, lengths: Sequence[int] | None, rng: Rng) -> Noise:
    """The masks of one forward pass.

    Args:
        module: its rates `dropout`, `variational_dropout` and `zoneout` (one for each state), where it has them.
        x: (T, N, D), the inputs.
        lengths: (N,); None: every sequence has T steps.
        rng: a NumPy Generator, which ends where rnnlib's layer would leave it, or a torch Generator.

    Raises:
        TypeError: rng is neither.
    """
    if not isinstance(rng, np.random.Generator | torch.Generator):
        raise TypeError(
            f"rng is {rng!r}: expected a NumPy Generator, for the masks of rnnlib's layer, a torch.Generator, or None; "
            "a seed would drop the same entries at every call"
        )
    (T, N, _), H, K = x.shape, module.hidden_size, module.num_layers
    directions = 2 if module.bidirectional else 1
    variational, zoneout = getattr(module, "variational_dropout", 0.0), getattr(module, "zoneout", ())
    replayed = isinstance(rng, np.random.Generator)
    seeds = rng.integers(MAX_SEED, size=(K, 1 + 2 * directions)) if replayed else np.zeros((K, 1 + 2 * directions), int)

    def uniform(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
        if isinstance(rng, np.random.Generator):
            return torch.from_numpy(np.random.default_rng(int(seed)).random(shape)).to(x.device)
        return torch.rand(shape, generator=rng, device=rng.device).to(x.device)

    def dropped(seed: int, shape: tuple[int, ...], rate: float) -> torch.Tensor | None:
        return (uniform(seed, shape) >= rate).to(x.dtype) / (1 - rate) if rate else None

    def held(seed: int, reverse: bool) -> tuple[torch.Tensor, ...] | None:
        if not any(zoneout):
            return None
        if replayed:
            return tuple(torch.from_numpy(d).to(x) for d in replay_held(seed, (T, N, H), zoneout, lengths, reverse))
        return tuple((uniform(seed, (T, N, H)) < rate).to(x.dtype) for rate in zoneout)

    noise = Noise([], [], [])
    for layer, (own, *others) in enumerate(seeds):
        D = module.input_size if layer == 0 else H * directions
        rate = variational or (module.dropout if layer else 0)
        noise.inputs.append(dropped(own, (1 if variational else T, N, D), rate))
        for reverse in range(directions):
            mask_seed, held_seed = others[2 * reverse : 2 * reverse + 2]
            noise.hidden.append(dropped(mask_seed, (N, H), variational))
            noise.held.append(held(held_seed, bool(reverse)))
    return noise


def replay_held(
    seed: int, shape: tuple[int, int, int], zoneout: Sequence[float], lengths: Sequence[int] | None, reverse: bool
) -> list[np.ndarray]:
    """d_t of each state as `rnnlib.recurrent.scan` draws it: step by step, the longest sequence first."""
    T, N, H = shape
    packing = plan(T, N, None if lengths is None else np.asarray(lengths), reverse)
    rng = np.random.default_rng([int(seed), 0])
    steps = [[rng.random((n, H)) < rate for rate in zoneout] for n in packing.sizes]
    return [packing.unpack(np.concatenate(rows)).astype(float) for rows in zip(*steps, strict=True)]
