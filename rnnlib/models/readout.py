"""The last part of every model: from hidden units to what is asked for, one linear layer."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from rnnlib import init
from rnnlib.layers import LinearCache, dropout_backward, dropout_forward, linear_backward, linear_forward


class ReadoutCache(NamedTuple):
    dropped: Any
    linear: LinearCache


class Readout:
    """y = W h + b, after dropout.

    Args:
        hidden_size: how long h is.
        outputs: how long y is.
        dropout: the probability that an entry of h is dropped.
        tied: W itself, (outputs, hidden_size), where it belongs to another part, whose gradient it adds to; None: W is
            a parameter of its own.
        dtype: of the parameters.
        rng: draws their initial values, uniform in ±1/√hidden_size as in torch.

    Raises:
        ValueError: a size or the rate is out of range, or the tied weight has another shape.
    """

    def __init__(
        self,
        hidden_size: int,
        outputs: int,
        *,
        dropout: float = 0.0,
        tied: np.ndarray | None = None,
        dtype: DTypeLike = np.float64,
        rng: np.random.Generator,
    ) -> None:
        if outputs < 1:
            raise ValueError(f"{outputs} outputs were asked for: expected at least one")
        if not 0 <= dropout < 1:
            raise ValueError(f"output_dropout is {dropout}: expected a probability from 0 to below 1")
        shape, bound = (outputs, hidden_size), 1 / np.sqrt(hidden_size)
        if tied is not None and tied.shape != shape:
            raise ValueError(
                f"the embedding is {tied.shape} and the last layer's weight {shape}: they can be one only where "
                "embedding_size is hidden_size (times 2 if bidirectional)"
            )
        self.dropout, self.tied = dropout, tied is not None
        weight = init.uniform(shape, rng, dtype, bound=bound) if tied is None else tied
        self.weights = {"weight": weight, "bias": init.uniform((outputs,), rng, dtype, bound=bound)}

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        return {name: array for name, array in self.weights.items() if not (self.tied and name == "weight")}

    def forward(self, h: np.ndarray, rng: np.random.Generator | None = None) -> tuple[np.ndarray, ReadoutCache]:
        """h (..., H) gives y (..., outputs), and the cache for `backward`."""
        kept, dropped = dropout_forward(h, self.dropout, rng)
        y, linear = linear_forward(kept, self.weights["weight"], self.weights["bias"])
        return y, ReadoutCache(dropped, linear)

    def backward(self, dy: np.ndarray, cache: ReadoutCache) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """dy (..., outputs) gives dh (..., H) and gradients by name, that of a tied weight included."""
        dx, dW, db = linear_backward(dy, cache.linear)
        return dropout_backward(dx, cache.dropped), {"weight": dW, "bias": db}

    def describe(self) -> dict[str, Any]:
        """What its parameters do not say."""
        return {"dropout": self.dropout, "tied": self.tied}
