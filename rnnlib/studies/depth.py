"""The studies of lesson 12: at one budget of parameters, does depth matter, and does the second direction?

Two tasks for each question. Depth: who speaks, on nine men's vowels; and which letter comes next. Direction: where a
word ends in letters that run together, which the letters after it help to tell; and which vowel came three vowels ago,
which the letters before it settle.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnnlib import metrics
from rnnlib.data.labelled import japanese_vowels
from rnnlib.data.text import python_documentation
from rnnlib.losses import cross_entropy
from rnnlib.models import Model, SequenceClassifier, SequenceTagger
from rnnlib.optim import Adam
from rnnlib.studies.study import Measures, Study
from rnnlib.training import Sequences, train

BUDGET = 3000  # parameters of a whole model, at most
VOWELS, BACK = "aeiou", 3  # the task of the past: which vowel came so many vowels ago
STEPS, LEARNED, TESTED = 30, 400, 200  # T, and sequences to learn from and to be tested on
WAITS = (1, 2, 4)
WIDE = "2 layers, as wide as 1"

# ---- letters that run together ---------------------------------------------------------------------------------------


class Letters(NamedTuple):
    """Prose without spaces, cut into sequences of one length.

    Attributes:
        ids: (T, N), 0 for a to 25 for z.
        ends: (T, N), 1 where a word ends.
        vowel: (T, N), the place in VOWELS of the vowel that came BACK vowels ago; 5 before there is one.
        following: (T, N), the id of the letter after this one.
    """

    ids: np.ndarray
    ends: np.ndarray
    vowel: np.ndarray
    following: np.ndarray


def encode(text: str) -> np.ndarray:
    """The ids (T,) of the letters a to z in a text; all else is left out."""
    return np.array([ord(letter) - ord("a") for letter in re.findall("[a-z]", text.lower())], dtype=np.int64)


def letters(T: int = STEPS, N: int = LEARNED, *, skip: int = 0) -> Letters:
    """Python's documentation with everything but its letters taken out.

    Args:
        T: letters of a sequence.
        N: sequences.
        skip: sequences to leave out before the first.

    Raises:
        ValueError: the documentation has fewer letters.
    """
    paragraphs = re.split(r"\n\s*\n", python_documentation())
    prose = [text for text in paragraphs if not re.search(r"[|*=<>]{2}|::|->", text)]  # no tables, no grammar
    words = re.findall("[a-z]+", " ".join(prose).lower())
    ids = encode("".join(words))
    first, last = skip * T, (skip + N) * T
    if last >= len(ids):
        raise ValueError(f"letters {first:,} to {last:,} are asked for, and the documentation has {len(ids):,}")
    ends = np.zeros(len(ids), np.int64)
    ends[np.cumsum([len(word) for word in words]) - 1] = 1
    cut = [part.reshape(N, T).T for part in (ids[first:last], ends[first:last], ids[first + 1 : last + 1])]
    return Letters(cut[0], cut[1], vowel_ago(cut[0]), cut[2])


def vowel_ago(ids: np.ndarray, back: int = BACK) -> np.ndarray:
    """At each letter, the vowel that came `back` vowels ago in its sequence; the latest vowel is 0 vowels ago.

    Args:
        ids: (T, N), 0 for a to 25 for z.
        back: how many vowels to go back.

    Returns:
        (T, N), places in VOWELS; 5 where the sequence has had too few.
    """
    places = np.full(26, -1)
    places[encode(VOWELS)] = np.arange(len(VOWELS))
    heard = np.full((back + 1, ids.shape[1]), len(VOWELS))  # the latest first
    answers = np.empty_like(ids)
    for t, now in enumerate(places[ids]):
        heard = np.where(now >= 0, np.concatenate([now[None], heard[:-1]]), heard)
        answers[t] = heard[-1]
    return answers


# ---- networks of one budget ------------------------------------------------------------------------------------------


def count(model: Model) -> int:
    """How many parameters a model has."""
    return sum(parameter.size for parameter in model.parameters.values())


def widest(make: Callable[[int], Model], budget: int = BUDGET) -> int:
    """The largest number of units that a budget pays for, at least 1.

    Args:
        make: gives the model with so many units; it must grow with them.
        budget: parameters of the whole model.
    """
    H = 1
    while count(make(H + 1)) <= budget:
        H += 1
    return H


def reader_of_letters(
    classes: int, hidden_size: int, seed: int, *, num_layers: int = 1, bidirectional: bool = False
) -> SequenceTagger:
    """A GRU that reads letters and answers at each one."""
    return SequenceTagger(
        classes,
        "gru",
        vocabulary_size=26,
        embedding_size=8,
        hidden_size=hidden_size,
        num_layers=num_layers,
        bidirectional=bidirectional,
        rng=seed,
    )


def reader_of_voices(hidden_size: int, seed: int, *, num_layers: int = 1) -> SequenceClassifier:
    """A GRU that hears an utterance and says which of the nine men spoke."""
    return SequenceClassifier(9, "gru", input_size=12, hidden_size=hidden_size, num_layers=num_layers, rng=seed)


# ---- waiting ---------------------------------------------------------------------------------------------------------


def later(targets: np.ndarray, wait: int, nothing: int) -> np.ndarray:
    """The same answers, each `wait` steps later; before the first there is `nothing` to say.

    Args:
        targets: (T, N).
        wait: steps, from 0 to T - 1; the last `wait` questions get no answer.
        nothing: the class of the first `wait` answers.

    Raises:
        ValueError: wait is out of range.
    """
    T, N = targets.shape
    if not 0 <= wait < T:
        raise ValueError(f"wait is {wait}: expected 0 to {T - 1}, fewer steps than a sequence has")
    # target_t = question_{t - wait}
    return np.concatenate([np.full((wait, N), nothing), targets[: T - wait]])


# ---- what is measured ------------------------------------------------------------------------------------------------


def taught(model: Model, data: Sequences, epochs: int, seed: int) -> None:
    """Train as everywhere in this lesson: Adam at 0.01, gradients clipped at 1."""
    train(model, data, Adam(model.parameters, 0.01), epochs=epochs, clip=1.0, seed=seed)


def _width(arm: str, make: Callable[[int, int], Model]) -> tuple[int, int]:
    """Layers and units of an arm of the studies of depth; `make` takes layers and units."""
    layers = int(arm[0])
    priced = 1 if arm == WIDE else layers
    return layers, widest(lambda H: make(priced, H))


def _voices(arm: str, seed: int, full: bool) -> Measures:
    layers, H = _width(arm, lambda layers, H: reader_of_voices(H, 0, num_layers=layers))
    data, test = japanese_vowels()
    model = reader_of_voices(H, seed, num_layers=layers)
    taught(model, Sequences(data.x, data.labels, data.lengths, batch_size=30), 25 if full else 6, seed)
    right = metrics.accuracy(model.predict(test.x, test.lengths), test.labels)
    return {"wrong": 100 * (1 - right), "parameters": count(model)}


def _next_letter(arm: str, seed: int, full: bool) -> Measures:
    layers, H = _width(arm, lambda layers, H: reader_of_letters(26, H, 0, num_layers=layers))
    data, test = letters(), letters(N=TESTED, skip=LEARNED)
    model = reader_of_letters(26, H, seed, num_layers=layers)
    taught(model, Sequences(data.ids, data.following, batch_size=20), 12 if full else 2, seed)
    loss = float(cross_entropy(model.logits(test.ids)[0], test.following)[0])
    return {"loss": loss, "parameters": count(model)}


def _directed(arm: str, seed: int, full: bool, task: str, classes: int) -> Measures:
    """A tagger of one or two directions, or one that waits; judged on the questions that all of them answer."""
    both, wait = arm == "both", int(arm.split()[1]) if arm.startswith("wait") else 0
    H = widest(lambda H: reader_of_letters(classes + 1, H, 0, bidirectional=both))
    data, test = letters(), letters(N=TESTED, skip=LEARNED)
    model = reader_of_letters(classes + 1, H, seed, bidirectional=both)
    targets = later(getattr(data, task), wait, nothing=classes)
    taught(model, Sequences(data.ids, targets, batch_size=20), 20 if full else 4, seed)
    judged = STEPS - max(WAITS)
    said = model.logits(test.ids)[0][wait : wait + judged, :, :classes].argmax(axis=-1)
    wrong = (said != getattr(test, task)[:judged]).mean()
    return {"wrong": 100 * float(wrong), "parameters": count(model)}


def _ends(arm: str, seed: int, full: bool) -> Measures:
    return _directed(arm, seed, full, "ends", 2)


def _vowel(arm: str, seed: int, full: bool) -> Measures:
    return _directed(arm, seed, full, "vowel", len(VOWELS) + 1)


DEPTHS = ("1 layer", "2 layers", "3 layers", WIDE)

voices = Study(
    name="depth_voices",
    question="At one budget, do two or three layers hear who speaks better than one?",
    arms=DEPTHS,
    measure=_voices,
    quick=2,
    full=10,
)
next_letter = Study(
    name="depth_next_letter",
    question="At one budget, do two or three layers guess the next letter better than one?",
    arms=DEPTHS,
    measure=_next_letter,
    quick=2,
    full=6,
)
word_ends = Study(
    name="direction_word_ends",
    question="Where does a word end: does the second direction help, or waiting some letters?",
    arms=("forward", *(f"wait {k}" for k in WAITS), "both"),
    measure=_ends,
    quick=2,
    full=7,
)
vowels = Study(
    name="direction_vowels",
    question="Which vowel came three vowels ago: does the second direction help, where the past settles it?",
    arms=("forward", "both"),
    measure=_vowel,
    quick=2,
    full=6,
)
