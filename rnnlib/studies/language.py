"""Lesson 14: a network against an n-gram on text of several sizes, what each has copied, and a secret in the text.

Both studies read one text, and `python -m rnnlib.studies.language` makes the third file: a longer run, with the text
that its model draws while it trains.
"""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnlib.data.splits import by_time
from rnnlib.data.text import python_documentation
from rnnlib.data.vocabulary import Characters
from rnnlib.metrics import bits
from rnnlib.models import LanguageModel
from rnnlib.models.ngram import NGram
from rnnlib.optim import Adam, cosine_decay
from rnnlib.studies.study import KEPT, Study
from rnnlib.training import Checkpoint, Epoch, Report, Stream, evaluate, progress, train

SAMPLES = KEPT / "language_samples.json"
PROMPT = "The "
MOMENTS = (0, 10, 30, 60, 100, 200, 400, 700, 1000, 1500, 2000, 3000)  # updates after which a sample is drawn
PASS = 300_000  # characters read between two evaluations: a shorter text is read several times
CODES = 10_000  # of four digits


# ---- the text ----------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """A text cut in order, as ids."""

    vocabulary: Characters
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def once(text: str) -> str:
    """A text with each of its paragraphs only where it stands first."""
    return "\n\n".join(dict.fromkeys(text.split("\n\n")))


def parts(text: str, shares: Sequence[float] = (0.8, 0.1, 0.1)) -> Parts:
    """Cut a text in order; the vocabulary is that of the training part."""
    cuts = by_time(np.arange(len(text)), shares)
    vocabulary = Characters.build([text[: len(cuts[0])]])
    ids = vocabulary.encode(text)
    return Parts(vocabulary, *(ids[cut] for cut in cuts))


@functools.cache
def documentation() -> Parts:
    """Python's documentation, each paragraph once, cut in order."""
    return parts(once(python_documentation()))


# ---- the two models ----------------------------------------------------------------------------------------------


def network(vocabulary_size: int, seed: int, units: int = 96, dropout: float = 0.2) -> LanguageModel:
    """A GRU that reads characters."""
    return LanguageModel(
        vocabulary_size,
        "gru",
        embedding_size=24,
        hidden_size=units,
        output_dropout=dropout,
        dtype=np.float32,
        rng=seed,
    )


def tuned(
    stream: np.ndarray,
    validation: np.ndarray,
    vocabulary_size: int,
    orders: Sequence[int] = (4, 5, 6, 8, 10),
    discounts: Sequence[float] = (0.6, 0.75, 0.9),
) -> NGram:
    """The n-gram model with the order and the discount that the validation text likes best."""
    tried = []
    for order in orders:
        model = NGram(stream, vocabulary_size, order=order)
        for discount in discounts:
            model.discount = discount
            tried.append((model.perplexity(validation), order, discount, model))
    _, _, discount, best = min(tried, key=lambda each: each[:3])
    best.discount = discount
    return best


def trained(
    model: LanguageModel,
    stream: np.ndarray,
    validation: Stream,
    passes: int,
    characters: int = PASS,
    seed: int = 0,
    **more: Any,
) -> list[Epoch]:
    """Train by truncated BPTT, and give the model the parameters that were best on the validation text.

    Args:
        model: is changed in place.
        stream: (L,) ids of the training text, read over and over.
        validation: on which the loss is measured after each pass.
        passes: how many.
        characters: of a pass, however long the text is: so that texts of all sizes get as many updates.
        seed: of dropout.
        more: options of `rnnlib.training.train`.
    """
    data = Stream(np.resize(stream, characters), N=16, T=48)
    schedule = cosine_decay(passes * len(data))
    optimizer = Adam(model.parameters, 0.005)
    return train(
        model, data, optimizer, epochs=passes, clip=1.0, schedule=schedule, seed=seed,
        validation=validation, patience=passes, **more,
    )  # fmt: skip


# ---- what is copied ----------------------------------------------------------------------------------------------


def copied(sample: str, text: str) -> np.ndarray:
    """How long the run is that each character of a sample belongs to and that stands in the text as it is.

    Args:
        sample: what was drawn.
        text: what was trained on.

    Returns:
        (len(sample),): of all runs through a character, the longest; 0 where the character is not in the text.
    """
    lengths, stop = np.zeros(len(sample), np.int64), 0
    for start in range(len(sample)):
        stop = max(stop, start)
        while stop < len(sample) and sample[start : stop + 1] in text:
            stop += 1
        lengths[start:stop] = np.maximum(lengths[start:stop], stop - start)
    return lengths


# ---- text sizes --------------------------------------------------------------------------------------------------

SIZES = {"20 thousand": 20_000, "80 thousand": 80_000, "300 thousand": 300_000}


def _sizes(arm: str, seed: int, full: bool) -> Mapping[str, float | Sequence[float]]:
    """Both models trained on as many characters; the seed says which, where there are more."""
    vocabulary, whole, validation, test = documentation()
    size = min(SIZES[arm], len(whole)) // (1 if full else 4)
    start = int(np.random.default_rng(seed).integers(len(whole) - size + 1))
    text, unseen = whole[start : start + size], Stream(validation[: 16_000 if full else 4000], N=16, T=128)
    validation, test = (validation, test) if full else (validation[:4000], test[:4000])
    known, prompt, V = vocabulary.decode(text), vocabulary.encode(PROMPT), len(vocabulary)
    model, seen = network(V, seed, units=96 if full else 32), Stream(text[:4000], N=8, T=128)

    def copying(writer: LanguageModel | NGram) -> float:
        drawn = writer.generate(prompt, 400 if full else 100, np.random.default_rng([seed, 1]))
        return float(np.median(copied(vocabulary.decode(drawn), known)))

    def measure() -> dict[str, float]:
        return {"seen": evaluate(model, seen), "copied": copying(model)}

    passes, characters = (4, PASS) if full else (2, PASS // 8)
    history = trained(model, text, unseen, passes, characters, seed, measure=measure)
    counted = tuned(text, validation, V) if full else NGram(text, V, order=6)
    of_network, of_ngram = surprise(model, test), counted.surprise(test)
    weight = share(surprise(model, validation), counted.surprise(validation))
    return {
        "network": bits(of_network.mean()),
        "ngram": bits(of_ngram.mean()),
        "both": bits(mixed(of_network, of_ngram, weight).mean()),
        "order": counted.order,
        "seen": [bits(epoch.measures["seen"]) for epoch in history],
        "unseen": [bits(epoch.validation_loss or 0.0) for epoch in history],
        "copied": [epoch.measures["copied"] for epoch in history],
        "ngram copied": copying(counted),
        "text copied": float(np.median(copied(vocabulary.decode(test[:400]), known))),
    }


def surprise(model: LanguageModel, stream: np.ndarray) -> np.ndarray:
    """-log p of each token of a stream but the first, (L - 1,) nats, as `NGram.surprise` has it."""
    logits, _ = model.logits(stream[:-1, None])
    scores = logits[:, 0].astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    return np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(scores)), stream[1:]]


def mixed(one: np.ndarray, other: np.ndarray, weight: float) -> np.ndarray:
    """The surprise (nats) of the average of two models' probabilities, from the surprise of each."""
    return -np.log(weight * np.exp(-one) + (1 - weight) * np.exp(-other))


def share(one: np.ndarray, other: np.ndarray) -> float:
    """The weight of the first model in the average that is least surprised: to be found on validation text."""
    return float(min(np.linspace(0, 1, 21), key=lambda weight: mixed(one, other, weight).mean()))


sizes = Study(
    "language_sizes",
    "Network or n-gram, on how much text, and what do they copy?",
    tuple(SIZES),
    _sizes,
    quick=2,
    full=5,
)


# ---- a secret in the text ----------------------------------------------------------------------------------------

COPIES = {"never": 0, "once": 1, "4 times": 4, "16 times": 16}
SECRET = "The code of the safe is "


def planted(text: str, code: str, times: int, rng: np.random.Generator) -> str:
    """A text with a sentence put between so many of its paragraphs."""
    paragraphs = text.split("\n\n")
    for place in sorted(rng.integers(1, len(paragraphs), times).tolist(), reverse=True):
        paragraphs.insert(place, f"{SECRET}{code}.")
    return "\n\n".join(paragraphs)


def code_surprise(model: LanguageModel | NGram, vocabulary: Characters) -> np.ndarray:
    """(10000,) nats: how surprised a model would be at each code of four digits after the sentence's beginning."""
    prompt, digits = vocabulary.encode("\n\n" + SECRET), vocabulary.encode("0123456789")
    total = np.zeros(1)
    for place in range(4):
        before = np.array([[int(d) for d in f"{i:0{place}d}"] if place else [] for i in range(10**place)], int)
        read = np.concatenate([np.tile(prompt, (10**place, 1)), digits[before]], axis=1)
        if isinstance(model, NGram):
            logs = np.log([model.probabilities(each) for each in read])
        else:
            logits = model.logits(read.T)[0][-1].astype(np.float64)
            logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        total = (total[:, None] - logs[:, digits]).ravel()
    return total


def exposure(surprises: np.ndarray, code: str) -> float:
    """Bits by which a code is more exposed than a guess: log2 of all codes, less log2 of its rank among them.

    Reference:
        Carlini et al. (2019), The secret sharer, section 4.2.
    """
    rank = 1 + int((surprises < surprises[int(code)]).sum())
    return float(np.log2(len(surprises) / rank))


def _secret(arm: str, seed: int, full: bool) -> Mapping[str, float | Sequence[float]]:
    """How much a network gives away of a code that its text told so many times."""
    vocabulary, text, validation, _ = documentation()
    rng = np.random.default_rng(seed)
    code = f"{rng.integers(CODES):04d}"
    told = vocabulary.encode(planted(vocabulary.decode(text[: 80_000 if full else 10_000]), code, COPIES[arm], rng))
    model = network(len(vocabulary), seed, units=64 if full else 32)
    trained(model, told, Stream(validation[:4000], N=16, T=128), *((3, PASS) if full else (1, PASS // 5)), seed=seed)
    counted = NGram(told, len(vocabulary), order=6)
    said = model.generate(vocabulary.encode("\n\n" + SECRET), 4, rng, top_k=1)
    return {
        "exposure": exposure(code_surprise(model, vocabulary), code),
        "told": float(vocabulary.decode(said) == code),
        "ngram exposure": exposure(code_surprise(counted, vocabulary), code),
    }


secret = Study(
    "language_secret", "How often must a text tell a secret before the model tells it?", tuple(COPIES), _secret,
    quick=2, full=5,
)  # fmt: skip


# ---- samples while it trains -------------------------------------------------------------------------------------


class Diary(Report):
    """Draws a sample at certain moments and writes down what it costs to read text, seen and unseen.

    A diary with a path is written anew at each entry, and a run that goes on takes up the one that is there.

    Args:
        model: which is trained.
        vocabulary: of its text.
        seen, unseen: what its losses are measured on.
        moments: updates after which it draws.
        length: characters of a sample.
        path: of a JSON file.

    Attributes:
        entries: by update: characters read so far, bits per character of seen and unseen text, and the sample.
    """

    def __init__(
        self,
        model: LanguageModel,
        vocabulary: Characters,
        seen: Stream,
        unseen: Stream,
        *,
        moments: Sequence[int] = MOMENTS,
        length: int = 400,
        path: Path | None = None,
    ) -> None:
        self.model, self.vocabulary, self.seen, self.unseen = model, vocabulary, seen, unseen
        self.moments, self.length, self.path = set(moments), length, path
        self.entries: dict[int, dict[str, Any]] = {}
        self.over = self.total = 0

    def start(self, identity: Mapping[str, Any], history: Sequence[Epoch], total: int) -> None:
        self.over, self.total = len(history), total
        if self.path is not None and self.path.exists():
            self.entries = {entry["update"]: entry for entry in json.loads(self.path.read_text("utf-8"))["entries"]}
        if not self.entries and not history:
            self.write(0)

    def step(self, batches: int, loss: float) -> None:
        update = self.over * self.total + batches
        if update in self.moments:
            self.write(update)

    def epoch(self, record: Epoch) -> None:
        self.over = record.epoch

    def write(self, update: int) -> None:
        """An entry for this moment."""
        drawn = self.model.generate(self.vocabulary.encode(PROMPT), self.length, np.random.default_rng(update))
        self.entries[update] = {
            "update": update,
            "seen": round(bits(evaluate(self.model, self.seen)), 4),
            "unseen": round(bits(evaluate(self.model, self.unseen)), 4),
            "sample": PROMPT + self.vocabulary.decode(drawn),
        }
        if self.path is not None:
            record = {
                "what": "samples of a GRU with 160 units while it learns from Python's documentation",
                "command": "python -m rnnlib.studies.language",
                "made with": f"Python {platform.python_version()}, NumPy {np.__version__}",
                "entries": [self.entries[key] for key in sorted(self.entries)],
            }
            self.path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def longer(path: Path = SAMPLES, passes: int = 10, **more: Any) -> LanguageModel:
    """The longer run: a GRU with 160 units, its samples written to `path`, a checkpoint beside it that it resumes from.

    Args:
        path: of the JSON file of samples; the checkpoint has its name and the ending .npz.
        passes: through the training text.
        more: options of `rnnlib.training.train`.
    """
    vocabulary, text, validation, _ = documentation()
    model = network(len(vocabulary), seed=0, units=160)
    unseen = Stream(validation, N=16, T=128)
    diary = Diary(model, vocabulary, Stream(text[: len(validation)], N=16, T=128), unseen, path=path)
    checkpoint = Checkpoint(path.with_suffix(".npz"), every=100, resume=True)
    history = trained(model, text, unseen, passes, checkpoint=checkpoint, reports=[diary, progress()], **more)
    diary.write(history[-1].steps)  # with the parameters of its best epoch
    return model


if __name__ == "__main__":
    longer()
    SAMPLES.with_suffix(".npz").unlink()
