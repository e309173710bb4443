"""Lesson 13's comparison: the same reader, asked at its last step or on average, on nine speakers' vowels."""

import numpy as np

from rnnlib.data.labelled import japanese_vowels
from rnnlib.losses import cross_entropy
from rnnlib.models import SequenceClassifier
from rnnlib.optim import Adam
from rnnlib.studies.study import Measures, Study
from rnnlib.training import Sequences, train


def speaker_reader(read: str, seed: int, epochs: int = 25) -> SequenceClassifier:
    """A GRU of 16 units, trained on the 270 utterances.

    Args:
        read: "last" or "mean".
        seed: of the initial parameters and of the order of the data.
        epochs: of training.
    """
    data, _ = japanese_vowels()
    model = SequenceClassifier(9, "gru", input_size=12, hidden_size=16, read=read, rng=seed)
    batches = Sequences(data.x, data.labels, data.lengths, batch_size=30)
    train(model, batches, Adam(model.parameters, 0.01), epochs=epochs, clip=1.0, seed=seed)
    return model


def _measured(arm: str, seed: int, full: bool) -> Measures:
    _, test = japanese_vowels()
    model = speaker_reader(arm, seed)
    logits = model.logits(test.x, test.lengths)
    right = logits.argmax(axis=-1) == test.labels
    loss = float(cross_entropy(logits, test.labels)[0])
    return {"accuracy": float(right.mean()), "loss": loss, "right": np.where(right, 1.0, 0.0).tolist()}


reading = Study(
    name="evaluation_reading",
    question="Does it help a classifier to read the mean of all states, in place of the last one?",
    arms=("last", "mean"),
    measure=_measured,
    quick=2,
    full=10,
)
