"""One step: the gradient of one batch or of several, unscaled, measured, clipped, and taken; and evaluation."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

import numpy as np
import torch

from rnnlib.torchref.noise import Rng
from rnnlib.torchref.run import State
from rnnlib.torchref.training.feeding import feed
from rnnlib.torchref.training.precision import Arithmetic, Precision
from rnnlib.training.batches import Batch, Data
from rnnlib.training.step import check_finite

LEAST_SCALE = 2.0**-14  # float16's smallest normal number: what overflows under it does so for another reason


class Gathered(NamedTuple):
    """The losses of some batches with their targets, and the state after the last; the gradient is in `.grad`."""

    losses: list[torch.Tensor]
    targets: list[int]
    state: State | None


class Step(NamedTuple):
    """What came of a step.

    Attributes:
        loss: the mean over all targets.
        norm: of the gradient before clipping.
        clipped: whether it was longer than allowed.
        taken: whether the parameters moved: they stay where float16 overflowed under the scale of the loss.
    """

    loss: float
    norm: float
    clipped: bool
    taken: bool


def gather(
    module: torch.nn.Module,
    batches: Sequence[Batch],
    state: State | None,
    carries_state: bool,
    rng: Rng | None,
    arithmetic: Arithmetic,
) -> Gathered:
    """The losses and the scaled gradient of several batches, as if they were one: each weighs as many as its targets.

    Args:
        module: gives the loss of a batch.
        batches: one or more, on the module's device.
        state: before the first.
        carries_state: whether each batch goes on from the state after the one before; no gradient goes back there.
        rng: draws what is dropped.
        arithmetic: of the forward pass, and the scale of the loss.
    """
    losses, targets = list[torch.Tensor](), list[int]()
    module.zero_grad(set_to_none=True)
    for batch in batches:
        carried = {"state": state} if carries_state else {}
        part = arithmetic.forward(module, *batch.arguments, rng=rng, **carried)
        loss, state = part.loss.to(arithmetic.dtype), detached(part.state)
        losses.append(loss.detach())
        targets.append(int(part.targets))
        share = targets[-1] / sum(targets)
        # ḡ = (1 - n_k / n) ḡ + (n_k / n) g_k, n = n_1 + ... + n_k
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(1 - share)
        arithmetic.scaler.scale(share * loss).backward()
    return Gathered(losses, targets, state)


def descend(
    module: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    arithmetic: Arithmetic,
    gathered: Gathered,
    clip: float,
    factor: float,
    where: str,
) -> Step:
    """Take the step whose gradient was gathered.

    Clipping is rnnlib's, g c / ‖g‖ where ‖g‖ > c: torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm, and a run
    would part from its sibling in NumPy in the seventh digit.

    Args:
        clip: the longest that a gradient may be, infinity for any.
        factor: what every learning rate is multiplied with.
        where: the step, for an error.

    Raises:
        FloatingPointError: the loss is not finite, or the gradient is not and no scale of the loss can help.
    """
    scaler = arithmetic.scaler
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    gradients = {
        name: parameter.grad
        for name, parameter in module.named_parameters()
        if id(parameter) in trained and parameter.grad is not None
    }
    scaler.unscale_(optimizer)
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients.values()]
    whole = torch.linalg.vector_norm(torch.stack(norms)) if norms else gathered.losses[0].new_zeros(())
    *losses, norm = torch.stack([*gathered.losses, whole]).tolist()  # here the host waits for the device
    loss, taken = mean(losses, gathered.targets), math.isfinite(norm)
    if not (taken and math.isfinite(loss)):
        overflow = scaler.is_enabled() and not all(bool(g.isfinite().all()) for g in gradients.values())
        if not (overflow and math.isfinite(loss) and scaler.get_scale() > LEAST_SCALE):
            check_finite(where, loss, norm, arrays(gradients), arrays(dict(module.named_parameters())))
    clipped = clip < norm < math.inf
    if clipped:
        for gradient in gradients.values():
            gradient.mul_(clip / norm)
    with rates(optimizer, factor):
        scaler.step(optimizer)
    scaler.update()
    return Step(loss, norm, clipped, taken)


def evaluate(module: torch.nn.Module, data: Data, *, precision: Precision | None = None, prefetch: int = 2) -> float:
    """The mean loss over all targets of an epoch, in evaluation: nothing is dropped and nothing learned.

    Args:
        module, data, precision, prefetch: as in `train`.

    Raises:
        ValueError, Unsupported: as `train`.
    """
    arithmetic = Arithmetic(module, precision)
    losses, targets = list[torch.Tensor](), list[int]()
    state: State | None = None
    batches = feed(data.epoch(np.random.default_rng(0)), arithmetic.device, arithmetic.dtype, prefetch)
    with torch.no_grad(), closing(batches):
        for batch in batches:
            carried = {"state": state} if data.carries_state else {}
            part = arithmetic.forward(module, *batch.arguments, **carried)
            losses.append(part.loss.to(arithmetic.dtype))
            targets.append(int(part.targets))
            state = part.state
        return mean(torch.stack(losses).tolist(), targets)


def mean(losses: Sequence[float], targets: Sequence[int]) -> float:
    """The mean over all targets."""
    return sum(loss * n for loss, n in zip(losses, targets, strict=True)) / sum(targets)


def detached(state: State | None) -> State | None:
    """The same state, through which no gradient goes back."""
    if state is None or isinstance(state, torch.Tensor):
        return None if state is None else state.detach()
    return tuple(tensor.detach() for tensor in state)


@contextmanager
def rates(optimizer: torch.optim.Optimizer, factor: float) -> Iterator[None]:
    """Every learning rate multiplied by a factor, for one step."""
    before = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * factor
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, before, strict=True):
            group["lr"] = rate


def arrays(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Tensors by name as arrays by name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
