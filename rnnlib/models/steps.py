"""One answer at every step: what tagger, language model and step-by-step forecaster share."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import cross_entropy, valid_positions
from rnnlib.models.model import Forward, Model, prefixed
from rnnlib.models.reader import Reader
from rnnlib.models.readout import Readout
from rnnlib.recurrent.stack import Stack, State


class StepCache(NamedTuple):
    read: Any
    said: Any
    dlogits: np.ndarray


class StepModel(Model):
    """A reader and, at each step, a linear readout of what it holds then.

    Args:
        outputs: how many numbers an answer has: classes, or what is forecast.
        layer: "rnn", "gru" or "lstm", or a built layer.
        output_dropout: the probability that an entry of what the readout sees is dropped.
        tie_weights: the readout's weight is the embedding.
        rng: a seed or a Generator for the initial parameters.
        options: those of `Reader`, such as vocabulary_size or input_size, and through it those of the layer.

    Raises:
        TypeError, ValueError: as in `Reader`; or weights cannot be tied.

    Reference:
        Press and Wolf (2017), Using the output embedding to improve language models: tied weights.
    """

    objective: ClassVar[Callable[..., tuple[np.floating, np.ndarray]]] = staticmethod(cross_entropy)

    def __init__(
        self,
        outputs: int,
        layer: str | Stack = "lstm",
        *,
        output_dropout: float = 0.0,
        tie_weights: bool = False,
        rng: np.random.Generator | int | None = None,
        **options: Any,
    ) -> None:
        rng = np.random.default_rng(rng)
        self.reader = Reader(layer, rng=rng, **options)
        tied = self.reader.embedding.get("weight") if tie_weights else None
        if tie_weights:
            if tied is None:
                raise ValueError(
                    "tie_weights ties the last layer to the embedding, and numbers are read: there is none"
                )
            tied /= np.sqrt(tied.shape[1])  # or the first logits would be √D times too large
        size, dtype = self.reader.output_size, self.reader.rnn.dtype
        self.head = Readout(size, outputs, dropout=output_dropout, tied=tied, dtype=dtype, rng=rng)
        self.parts = {"": self.reader, "head": self.head}

    def logits(
        self, inputs: ArrayLike, lengths: ArrayLike | None = None, *, state: State | None = None
    ) -> tuple[np.ndarray, Any]:
        """The answers at every step, in evaluation.

        Args:
            inputs: (T, N) ids, or (T, N, D) numbers.
            lengths: (N,); None: every sequence has T steps.
            state: the initial one, such as the last one of the window before; None: zero.

        Returns:
            (T, N, outputs), zero on padding, and the last state.

        Raises:
            TypeError, ValueError: as `Reader.forward`.
        """
        hs, state, _ = self.reader.forward(inputs, lengths, state)
        logits, _ = self.head.forward(hs)
        if lengths is not None:
            logits[~valid_positions(logits.shape[:2], lengths)] = 0
        return logits, state

    def forward(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        state: State | None = None,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """The mean loss over the valid steps.

        Args:
            inputs: (T, N) ids, or (T, N, D) numbers; on padding anything.
            targets: (T, N) classes, or (T, N, outputs) numbers; on padding anything.
            lengths: (N,); None: every sequence has T steps.
            state: the initial one, as `Forward.state` of the window before (truncated BPTT: no gradient flows
                back through it); None: zero.
            rng: draws what is dropped; None: evaluation.

        Returns:
            Forward, whose targets are the valid steps.

        Raises:
            TypeError, ValueError: as `Reader.forward` and the loss.
        """
        hs, state, read = self.reader.forward(inputs, lengths, state, rng)
        logits, said = self.head.forward(hs, rng)
        loss, dlogits = type(self).objective(logits, np.asarray(targets), lengths)
        steps = int(hs.shape[0] * hs.shape[1] if lengths is None else np.sum(lengths))
        return Forward(loss, steps, state, StepCache(read, said, dlogits))

    def backward(self, cache: StepCache) -> tuple[dict[str, np.ndarray], np.ndarray]:
        dhs, of_head = self.head.backward(cache.dlogits, cache.said)
        gradients, dinputs, _ = self.reader.backward(dhs, None, cache.read)
        if self.head.tied:
            gradients["embedding.weight"] += of_head.pop("weight")
        return gradients | prefixed({"head": of_head}), dinputs
