"""One label for every step, such as a word's part of speech or a decision in a stream."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import softmax, valid_positions
from rnnlib.models.steps import StepModel
from rnnlib.recurrent.stack import Stack


class SequenceTagger(StepModel):
    """A label at every step; bidirectional where the whole sequence is known, one direction in a stream.

    Args:
        classes: how many labels there are.
        layer: "rnn", "gru" or "lstm", or a built layer.
        options: those of `StepModel` with vocabulary_size or input_size, of `Reader` and the layer.

    Raises:
        TypeError, ValueError: as in `StepModel`.
    """

    def __init__(self, classes: int, layer: str | Stack = "lstm", **options: Any) -> None:
        super().__init__(classes, layer, **options)

    def probabilities(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """How likely each label is at each step, (T, N, classes), zero on padding; arguments as those of `logits`."""
        p = softmax(self.logits(inputs, lengths)[0])
        if lengths is not None:
            p[~valid_positions(p.shape[:2], lengths)] = 0
        return p

    def predict(self, inputs: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """The most likely label at each step, (T, N), 0 on padding; arguments as those of `logits`."""
        return self.logits(inputs, lengths)[0].argmax(axis=-1)
