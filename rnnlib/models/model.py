"""What training asks of a model, and how the gradients of its parts become those of the whole."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnnlib.recurrent.stack import State


class Forward(NamedTuple):
    """What a model says about one batch.

    Attributes:
        loss: the mean over so many targets.
        targets: how many hold data; what a mean over several batches is weighed by.
        state: of the recurrent layer after the batch, for a model that can go on from it; otherwise None.
        cache: what `backward` needs.
    """

    loss: np.floating
    targets: int
    state: State | None
    cache: Any


class Loss(NamedTuple):
    """A loss with everything that comes with it.

    Attributes:
        value, targets, state: loss, targets and state of `Forward`.
        gradients: of the value, one for each parameter, under its name.
        dinputs: of the value with regard to what the first recurrent layer reads, (T, N, D): numbers or embedded
            tokens; zero on padding.
    """

    value: np.floating
    gradients: dict[str, np.ndarray]
    targets: int
    state: State | None
    dinputs: np.ndarray


class Model:
    """Parameters, a loss, and its gradient. Subclasses give `forward`, `backward` and what suits their task.

    Attributes:
        parts: what the model is made of, by the prefix of their parameters' names.
        parameters: the parts' own arrays under dotted names; an optimiser changes them in place.
        likelihood: whether the loss is a mean of -log p, so that exp(loss) is a perplexity.
    """

    likelihood: ClassVar[bool] = True
    parts: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        return prefixed({name: part.parameters for name, part in self.parts.items()})

    def forward(self, *batch: Any, **options: Any) -> Forward:
        """The loss of one batch."""
        raise NotImplementedError

    def backward(self, cache: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The gradients of the loss, by parameter, and with regard to the inputs; see `Loss`."""
        raise NotImplementedError

    def loss(self, *batch: Any, **options: Any) -> Loss:
        """The loss of one batch with its gradients; arguments and errors as those of `forward`."""
        value, targets, state, cache = self.forward(*batch, **options)
        gradients, dinputs = self.backward(cache)
        return Loss(value, gradients, targets, state, dinputs)

    def describe(self) -> dict[str, Any]:
        """What the model is made of, in plain values: what must be the same for its parameters to mean the same."""
        parts = {name: part.describe() for name, part in self.parts.items()}
        return {"model": type(self).__name__, **prefixed(parts)}


def prefixed(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Names of several parts as dotted names of the whole: {"head": {"bias": b}} gives {"head.bias": b}.

    The part "" adds nothing to its names.
    """
    return {f"{part}.{name}".lstrip("."): value for part, named in parts.items() for name, value in named.items()}
