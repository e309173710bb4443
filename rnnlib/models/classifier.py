"""One label for a whole sequence, from what the reader holds at its end or on average."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import cross_entropy, softmax
from rnnlib.models.model import Forward, Model, prefixed
from rnnlib.models.pooling import POOLINGS, pool_backward, pool_forward
from rnnlib.models.reader import Reader
from rnnlib.models.readout import Readout
from rnnlib.recurrent.stack import Stack


class ClassifierCache(NamedTuple):
    read: Any
    pooled: Any
    said: Any
    dlogits: np.ndarray


class SequenceClassifier(Model):
    """A label for each sequence of tokens or numbers.

    Args:
        classes: how many labels there are.
        layer: "rnn", "gru" or "lstm", or a built layer.
        read: "last", the state after the last valid step of each direction; or "mean" of the outputs over the valid
            steps, zero for a sequence without steps.
        output_dropout: the probability that an entry of what the readout sees is dropped.
        rng: a seed or a Generator for the initial parameters.
        options: those of `Reader`, such as vocabulary_size or input_size, and through it those of the layer.

    Raises:
        TypeError: as in `Reader`.
        ValueError: as there, or read is unknown.
    """

    def __init__(
        self,
        classes: int,
        layer: str | Stack = "lstm",
        *,
        read: str = "last",
        output_dropout: float = 0.0,
        rng: np.random.Generator | int | None = None,
        **options: Any,
    ) -> None:
        if read not in POOLINGS:
            raise ValueError(f"read is {read!r}: expected one of {', '.join(POOLINGS)}")
        rng = np.random.default_rng(rng)
        self.read = read
        self.reader = Reader(layer, rng=rng, **options)
        size, dtype = self.reader.output_size, self.reader.rnn.dtype
        self.head = Readout(size, classes, dropout=output_dropout, dtype=dtype, rng=rng)
        self.parts = {"": self.reader, "head": self.head}

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"read": self.read}

    def logits(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """The answer for each sequence, in evaluation.

        Args:
            inputs: (T, N) ids, or (T, N, D) numbers; on padding anything.
            lengths: (N,); None: every sequence has T steps.

        Returns:
            (N, classes).

        Raises:
            TypeError, ValueError: as `Reader.forward`.
        """
        return self.answer(inputs, lengths, None)[0]

    def probabilities(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """How likely each label is, (N, classes); arguments as those of `logits`."""
        return softmax(self.logits(inputs, lengths))

    def predict(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """The most likely label of each sequence, (N,); arguments as those of `logits`."""
        return self.logits(inputs, lengths).argmax(axis=-1)

    def answer(
        self, inputs: ArrayLike, lengths: ArrayLike | None, rng: np.random.Generator | None
    ) -> tuple[np.ndarray, Any, Any, Any]:
        """The logits and the caches of reader, pooling and readout."""
        hs, state, read = self.reader.forward(inputs, lengths, rng=rng)
        h, pooled = pool_forward(self.read, hs, state, lengths, self.reader.rnn)
        logits, said = self.head.forward(h, rng)
        return logits, read, pooled, said

    def forward(
        self,
        inputs: ArrayLike,
        labels: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """The mean loss over the sequences.

        Args:
            inputs: (T, N) ids, or (T, N, D) numbers; on padding anything.
            labels: (N,), whole numbers from 0 to classes - 1.
            lengths: (N,); None: every sequence has T steps.
            rng: draws what is dropped; None: evaluation.

        Returns:
            Forward, whose targets are the sequences.

        Raises:
            TypeError, ValueError: as `Reader.forward` and `cross_entropy`.
        """
        logits, read, pooled, said = self.answer(inputs, lengths, rng)
        loss, dlogits = cross_entropy(logits, np.asarray(labels))
        return Forward(loss, len(logits), None, ClassifierCache(read, pooled, said, dlogits))

    def backward(self, cache: ClassifierCache) -> tuple[dict[str, np.ndarray], np.ndarray]:
        dh, of_head = self.head.backward(cache.dlogits, cache.said)
        doutput, dstate = pool_backward(dh, cache.pooled)
        gradients, dinputs, _ = self.reader.backward(doutput, dstate, cache.read)
        return gradients | prefixed({"head": of_head}), dinputs
