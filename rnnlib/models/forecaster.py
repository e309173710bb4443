"""Numbers to come: several steps ahead at once, or one step ahead at every step."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import mean_squared_error
from rnnlib.models.model import Forward, Model, prefixed
from rnnlib.models.pooling import pool_backward, pool_forward
from rnnlib.models.reader import Reader
from rnnlib.models.readout import Readout
from rnnlib.models.steps import StepModel
from rnnlib.recurrent.stack import Stack


class ForecasterCache(NamedTuple):
    read: Any
    pooled: Any
    said: Any
    dpredictions: np.ndarray


class Forecaster(Model):
    """All steps of a horizon at once, from the state after the last step that was read.

    Args:
        input_size: D.
        layer: "rnn", "gru" or "lstm", or a built layer.
        horizon: how many steps ahead.
        output_size: how many numbers each of them has; None: D.
        output_dropout: the probability that an entry of what the readout sees is dropped.
        rng: a seed or a Generator for the initial parameters.
        options: those of `Reader` and the layer.

    Raises:
        TypeError: as in `Reader`.
        ValueError: as there, or horizon or output_size is below 1.
    """

    likelihood = False

    def __init__(
        self,
        input_size: int,
        layer: str | Stack = "lstm",
        *,
        horizon: int = 1,
        output_size: int | None = None,
        output_dropout: float = 0.0,
        rng: np.random.Generator | int | None = None,
        **options: Any,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.reader = Reader(layer, input_size=input_size, rng=rng, **options)
        self.horizon, self.output_size = horizon, input_size if output_size is None else output_size
        if min(self.horizon, self.output_size) < 1:
            raise ValueError(f"horizon and output_size are {horizon} and {output_size}: each must be at least 1")
        size, dtype = self.reader.output_size, self.reader.rnn.dtype
        self.head = Readout(size, horizon * self.output_size, dropout=output_dropout, dtype=dtype, rng=rng)
        self.parts = {"": self.reader, "head": self.head}

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"horizon": self.horizon}

    def predict(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """The steps to come, in evaluation.

        Args:
            inputs: (T, N, D); on padding anything.
            lengths: (N,); None: every sequence has T steps.

        Returns:
            (horizon, N, output_size).

        Raises:
            TypeError, ValueError: as `Reader.forward`.
        """
        return self.answer(inputs, lengths, None)[0]

    def answer(
        self, inputs: ArrayLike, lengths: ArrayLike | None, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, Any, Any, Any]:
        """The predictions and the caches of reader, pooling and readout."""
        hs, state, read = self.reader.forward(inputs, lengths, rng=rng)
        h, pooled = pool_forward("last", hs, state, lengths, self.reader.rnn)
        y, said = self.head.forward(h, rng)
        return y.reshape(len(h), self.horizon, self.output_size).swapaxes(0, 1), read, pooled, said

    def forward(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """The mean squared error over all that is forecast.

        Args:
            inputs: (T, N, D); on padding anything.
            targets: (horizon, N, output_size), what came after each sequence's last step.
            lengths: (N,); None: every sequence has T steps.
            rng: draws what is dropped; None: evaluation.

        Returns:
            Forward, whose targets are the sequences.

        Raises:
            TypeError, ValueError: as `Reader.forward` and `mean_squared_error`.
        """
        predictions, read, pooled, said = self.answer(inputs, lengths, rng)
        loss, dpredictions = mean_squared_error(predictions, targets)
        return Forward(loss, predictions.shape[1], None, ForecasterCache(read, pooled, said, dpredictions))

    def backward(self, cache: ForecasterCache) -> tuple[dict[str, np.ndarray], np.ndarray]:
        dy = cache.dpredictions.swapaxes(0, 1).reshape(cache.dpredictions.shape[1], -1)
        dh, of_head = self.head.backward(dy, cache.said)
        doutput, dstate = pool_backward(dh, cache.pooled)
        gradients, dinputs, _ = self.reader.backward(doutput, dstate, cache.read)
        return gradients | prefixed({"head": of_head}), dinputs


class StepForecaster(StepModel):
    """At every step the next one, so that a long series can be read in windows with the state carried.

    Args:
        input_size: D.
        layer: "rnn", "gru" or "lstm", or a built layer; not bidirectional.
        output_size: how many numbers are forecast; None: D.
        options: those of `StepModel`, `Reader` and the layer.

    Raises:
        TypeError: as in `StepModel`.
        ValueError: as there, or the layer is bidirectional.
    """

    likelihood = False
    objective: ClassVar[Callable[..., tuple[np.floating, np.ndarray]]] = staticmethod(mean_squared_error)

    def __init__(
        self, input_size: int, layer: str | Stack = "lstm", *, output_size: int | None = None, **options: Any
    ) -> None:
        super().__init__(input_size if output_size is None else output_size, layer, input_size=input_size, **options)
        if self.reader.rnn.bidirectional:
            raise ValueError("a bidirectional layer has read the step that is to be forecast: use one direction")

    def forecast(self, history: np.ndarray, steps: int) -> np.ndarray:
        """What comes after a history, each forecast read as if it had been measured: errors add up.

        Args:
            history: (T, N, D).
            steps: how many to forecast.

        Returns:
            (steps, N, D).

        Raises:
            TypeError, ValueError: as `Reader.forward`; or forecasts cannot be read, since output_size is not D.
        """
        D, outputs = self.reader.rnn.input_size, len(self.head.weights["bias"])
        if outputs != D:
            raise ValueError(f"output_size is {outputs} and D is {D}: a forecast can be read only where they are equal")
        read, state, made = history, None, []
        for _ in range(steps):
            predictions, state = self.logits(read, state=state)
            read = predictions[-1:]
            made.append(read)
        return np.concatenate(made)
