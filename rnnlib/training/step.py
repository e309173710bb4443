"""One step's gradient: from one batch or from several, and what is done when it is not finite."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rnnlib.models.model import Model
from rnnlib.optim import clip_by_global_norm
from rnnlib.recurrent.stack import State
from rnnlib.training.batches import Batch, Data

Clip = Callable[[dict[str, np.ndarray]], tuple[dict[str, np.ndarray], float]]


class Gathered(NamedTuple):
    """The mean loss over so many targets of some batches, its gradients, and the state after the last batch."""

    loss: float
    targets: int
    gradients: dict[str, np.ndarray]
    state: State | None


def gather(
    model: Model, batches: Sequence[Batch], state: State | None, carries_state: bool, rng: np.random.Generator | None
) -> Gathered:
    """The loss and the gradient of several batches, as if they were one: each weighs as many as its targets.

    Args:
        model: gives the loss of a batch.
        batches: one or more.
        state: before the first.
        carries_state: whether each batch goes on from the state after the one before.
        rng: draws what is dropped.

    Returns:
        Gathered; of one batch exactly what the model gave.
    """
    loss, targets, gradients = 0.0, 0, dict[str, np.ndarray]()
    for batch in batches:
        carried = {"state": state} if carries_state else {}
        part = model.forward(*batch.arguments, rng=rng, **carried)
        state, targets = part.state, targets + part.targets
        share = part.targets / targets
        loss += share * (float(part.loss) - loss)
        # ḡ = ḡ + (n_k / n) (g_k - ḡ), n = n_1 + ... + n_k
        for name, gradient in model.backward(part.cache)[0].items():
            mean = gradients.get(name)
            gradients[name] = gradient if mean is None else mean + share * (gradient - mean)
    return Gathered(loss, targets, gradients, state)


def evaluate(model: Model, data: Data) -> float:
    """The mean loss over all targets of an epoch, in evaluation: nothing is dropped and nothing learned."""
    total, targets = 0.0, 0
    state: State | None = None
    for batch in data.epoch(np.random.default_rng(0)):
        part = model.forward(*batch.arguments, **({"state": state} if data.carries_state else {}))
        total, targets = total + float(part.loss) * part.targets, targets + part.targets
        state = part.state
    return total / targets


def clipper(clip: float | Clip | None) -> Clip:
    """What to do with a gradient: clip it to a global norm, as told, or only measure it."""
    if callable(clip):
        return clip
    limit = math.inf if clip is None else clip
    return lambda gradients: clip_by_global_norm(gradients, limit)


def differs(clipped: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]) -> bool:
    """Whether clipping changed anything."""
    return any(clipped[name] is not g and not np.array_equal(clipped[name], g) for name, g in gradients.items())


def check_finite(
    where: str, loss: float, norm: float, gradients: Mapping[str, np.ndarray], parameters: Mapping[str, np.ndarray]
) -> None:
    """Stop before a number that is not finite reaches the parameters.

    Raises:
        FloatingPointError: the loss or a gradient is not finite; it names the place and the usual causes.
    """
    if math.isfinite(loss) and math.isfinite(norm):
        return
    broken, gone = (
        [name for name, array in named.items() if not np.isfinite(array).all()] for named in (gradients, parameters)
    )
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the norm of the gradient is {norm}"
    if broken:
        what += f"; not finite: the gradient of {', '.join(map(repr, broken))}"
    if gone:
        what += f"; not finite: the parameter {', '.join(map(repr, gone))} itself"
    raise FloatingPointError(
        f"{where}: {what}. No step was taken. Usual causes: a learning rate that is too high (try a tenth), no "
        "clipping (try clip=1.0), inputs that are not finite or not scaled, float32 where values grow large"
    )
