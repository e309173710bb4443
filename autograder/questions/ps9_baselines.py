"""What counting reaches in problem set 9's language: n-grams of the public text, which every model has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from autograder.question import PUBLIC_SEED
from rnnlib.data import brackets
from rnnlib.models.ngram import NGram

TRAINING, VALIDATION = 400_000, 60_000  # symbols
BEST_ORDER, DISCOUNT = 4, 0.85  # the best on the validation text: a test looks again


def training_text() -> np.ndarray:
    """The text that everybody trains on: (TRAINING,) ids."""
    return brackets.text(TRAINING, np.random.default_rng(PUBLIC_SEED))


def validation_text() -> np.ndarray:
    """A text to choose by: (VALIDATION,) ids."""
    return brackets.text(VALIDATION, np.random.default_rng([PUBLIC_SEED, 1]))


@cache
def counted(order: int) -> NGram:
    """An n-gram, counted on the training text."""
    return NGram(training_text(), brackets.V, order=order, discount=DISCOUNT)


@cache
def after_each() -> np.ndarray:
    """What follows each symbol, as the 2-gram has it: (V, V)."""
    return np.array([counted(2).probabilities([symbol]) for symbol in range(brackets.V)])


def surprise(model: NGram, contexts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What an n-gram needs for each target, after as much of its context as it can use: nats (N,)."""
    rows = np.concatenate([contexts[:, contexts.shape[1] - model.order + 1 :], targets[:, None]], axis=1)
    # Read as one stream, with one symbol before it: the last of each row has just the others of its row in view.
    stream = np.concatenate([[0], rows.ravel()])
    return model.surprise(stream)[model.order - 1 :: model.order]


def baselines(contexts: np.ndarray, targets: np.ndarray) -> Mapping[str, np.ndarray]:
    """What counting reaches on these contexts: nats (N,) by name, the worst first."""
    return {
        "a blind guess": np.full(len(targets), np.log(brackets.V)),
        "single symbols": surprise(counted(1), contexts, targets),
        "the last symbol alone": surprise(counted(2), contexts, targets),
        "the best n-gram": surprise(counted(BEST_ORDER), contexts, targets),
    }
