"""Lesson 15: which part of Python's library is a sentence about, and what do words learned beforehand help?

The sentences are those of docstrings, labelled by the area of the module they stand in. A whole module stands on one
side of a split. What is learned beforehand is learned from text that carries no label and none of the test modules.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnnlib.data.batching import pad
from rnnlib.data.text import python_documentation, python_source
from rnnlib.data.vocabulary import Words
from rnnlib.losses import cross_entropy
from rnnlib.metrics import accuracy
from rnnlib.models import SequenceClassifier
from rnnlib.optim import AdamW
from rnnlib.recurrent.stack import Stack
from rnnlib.studies.study import Study
from rnnlib.training import Epoch, Sequences, train

AREAS = {
    "code": "ast bdb code dis doctest inspect pdb pkgutil pyclbr symtable tokenize trace traceback",
    "files": "bz2 filecmp fileinput fnmatch gzip lzma pathlib shutil tarfile tempfile zipapp zipfile _pyio",
    "network": "ftplib imaplib ipaddress poplib selectors smtplib socket socketserver ssl webbrowser",
    "numbers": "bisect calendar fractions heapq numbers random statistics _pydecimal",
}
OTHERS = (
    "argparse cmd configparser contextlib copy csv difflib enum functools optparse pickle queue subprocess threading"
)
NAMES = tuple(AREAS)
SHORTEST, LONGEST = 5, 30  # words of a sentence
AT_MOST = 120  # sentences of one module: no module may be half of its area
END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z])")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


# ---- the sentences -----------------------------------------------------------------------------------------------


class Sentence(NamedTuple):
    """One sentence of a docstring.

    Attributes:
        text: as it is written, on one line.
        module: in whose source it stands.
        area: index in NAMES.
    """

    text: str
    module: str
    area: int


def words(text: str) -> str:
    """A text as its words in small letters, a space between two: what is read of it."""
    return " ".join(WORD.findall(text.lower()))


def docstrings(source: str) -> Iterable[str]:
    """The docstrings of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def sentences(text: str) -> list[str]:
    """The sentences of a text that have a fair length and are no program."""
    found = []
    for paragraph in text.split("\n\n"):
        if ">>>" not in paragraph:
            found += END.split(" ".join(paragraph.split()))
    return [each for each in found if SHORTEST <= len(WORD.findall(each.lower())) <= LONGEST]


@functools.cache
def corpus() -> tuple[Sentence, ...]:
    """Every sentence of the modules in AREAS, each only where it stands first."""
    known: set[str] = set()
    found = []
    for area, modules in enumerate(AREAS.values()):
        for module, source in python_source(modules.split()).items():
            own = {words(text): text for doc in docstrings(source) for text in sentences(doc)}
            new = [text for read, text in own.items() if read not in known]
            known |= own.keys()
            found += [Sentence(text, module, area) for text in new[:AT_MOST]]
    return tuple(found)


@functools.cache
def unlabelled() -> tuple[str, ...]:
    """Text about Python that nobody has sorted: paragraphs of the manual, and docstrings of other modules."""
    others = python_source(OTHERS.split()).values()
    paragraphs = [*python_documentation().split("\n\n")]
    paragraphs += [text for source in others for doc in docstrings(source) for text in sentences(doc)]
    return tuple(dict.fromkeys(words(each) for each in paragraphs))


def shares_a_run(texts: Iterable[str], others: Iterable[str], n: int = 8) -> np.ndarray:
    """Which texts have n words in a row that also stand in the others, (N,) of bool: what was copied from them."""
    runs = {run for other in others for run in _runs(other, n)}
    return np.array([not runs.isdisjoint(_runs(text, n)) for text in texts])


def _runs(text: str, n: int) -> list[tuple[str, ...]]:
    read = text.split()
    return [tuple(read[i : i + n]) for i in range(len(read) - n + 1)]


# ---- splits ------------------------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """Sentences to learn from, to tune on and to be judged by.

    Attributes:
        train: labelled, in a random order.
        validation: TUNED of each area, from the same modules.
        test: from other modules, where the split is by module.
        texts: without labels, as words, those of `train` among them; nothing that shares eight words in a row with the
            test.
    """

    train: tuple[Sentence, ...]
    validation: tuple[Sentence, ...]
    test: tuple[Sentence, ...]
    texts: tuple[str, ...]


TUNED = 20


@functools.lru_cache(maxsize=4)
def split(seed: int, by: str = "module") -> Parts:
    """A third for the test.

    Args:
        seed: which third.
        by: "module", whole modules of each area, and no sentence copied from them is left in training; or "sentence",
            any sentences: what one should not do.
    """
    rng = np.random.default_rng(seed)
    everything = [corpus()[i] for i in rng.permutation(len(corpus()))]
    if by == "module":
        held = {module for modules in AREAS.values() for module in rng.permutation(modules.split())[::3].tolist()}
        test = [each for each in everything if each.module in held]
        rest = [each for each in everything if each.module not in held]
        copied = shares_a_run((words(each.text) for each in rest), (words(each.text) for each in test))
        rest = [each for each, copy in zip(rest, copied, strict=True) if not copy]
    else:
        test, rest = everything[::3], [each for i, each in enumerate(everything) if i % 3]
    validation = [each for area in range(len(NAMES)) for each in [s for s in rest if s.area == area][:TUNED]]
    train = [each for each in rest if each not in set(validation)]
    texts = [words(each.text) for each in train] + list(unlabelled())
    if by == "module":
        copied = shares_a_run(texts, (words(each.text) for each in test))
        texts = [text for text, copy in zip(texts, copied, strict=True) if not copy]
    return Parts(tuple(train), tuple(validation), tuple(test), tuple(texts))


def some(sentences: Sequence[Sentence], each: int) -> list[Sentence]:
    """The first so many sentences of each area: few labels."""
    return [s for area in range(len(NAMES)) for s in [s for s in sentences if s.area == area][:each]]


class Read(NamedTuple):
    """Sentences as ids.

    Attributes:
        ids: (T, N), PAD after the end.
        lengths: (N,).
        labels: (N,), indices in NAMES.
    """

    ids: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray


def read(vocabulary: Words, sentences: Sequence[Sentence]) -> Read:
    """Sentences as a padded batch."""
    ids, lengths = pad([vocabulary.encode(words(each.text)) for each in sentences], vocabulary.pad)
    return Read(ids, lengths, np.array([each.area for each in sentences]))


# ---- what can be learned without labels --------------------------------------------------------------------------

SIZE = 32  # of a word's vector


class Start(NamedTuple):
    """What was learned beforehand: a vocabulary, and a vector for each of its words, (V, SIZE), spread like N(0, 1)."""

    vocabulary: Words
    vectors: np.ndarray


@functools.lru_cache(maxsize=4)
def pretrained(texts: tuple[str, ...], window: int = 4) -> Start:
    """Vectors from the company that words keep: how much more often than by chance two stand near each other, and the
    strongest directions of that table.

    Args:
        texts: as words; the vocabulary takes those that occur three times.
        window: how many words apart two may stand; a pair k apart counts 1/k.

    Reference:
        Levy, Goldberg and Dagan (2015), Improving distributional similarity with lessons learned from word embeddings,
        sections 2 and 3: PPMI, its context smoothing of 0.75, and vectors U √S.
    """
    vocabulary = Words.build(texts, min_count=3)
    V = len(vocabulary)
    gap = np.zeros(window, np.int64)  # PAD between two texts: no word keeps company across it
    stream = np.concatenate([part for text in texts for part in (vocabulary.encode(text), gap)])
    pairs = [stream[:-k] * V + stream[k:] for k in range(1, window + 1)]
    near = [np.bincount(pair, minlength=V * V).astype(np.float32) / k for k, pair in enumerate(pairs, 1)]
    together = sum(near[1:], near[0]).reshape(V, V)
    together[: vocabulary.unk + 1] = together[:, : vocabulary.unk + 1] = 0
    together += together.T
    total = np.maximum(together.sum(axis=1), 1)
    context = total**0.75 / (total**0.75).sum()
    # M = max(0, log p(w, c) / (p(w) p(c)))
    M = np.log(np.maximum(together / np.outer(total, context), 1))
    # the range of M by power iteration (Halko, Martinsson and Tropp, 2011, algorithm 4.4), and the SVD in it
    Q = np.random.default_rng(0).standard_normal((V, SIZE + 16)).astype(np.float32)
    for _ in range(4):
        Q, _ = np.linalg.qr(M @ (M.T @ Q))
    U, S, _ = np.linalg.svd(Q.T @ M, full_matrices=False)
    vectors = (Q @ U[:, :SIZE]) * np.sqrt(S[:SIZE])
    return Start(vocabulary, vectors / vectors[vocabulary.unk + 1 :].std())


# ---- classifiers that do not read in order -----------------------------------------------------------------------


class Counting(NamedTuple):
    """Naive Bayes: each word of a sentence votes for each area, and the votes are added.

    Attributes:
        votes: (V, classes), log p(word | area); 0 for words that were never seen with a label.
    """

    votes: np.ndarray

    def logits(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """(N, classes); arguments as those of `SequenceClassifier.logits`."""
        return present(ids, lengths, len(self.votes)) @ self.votes


def present(ids: np.ndarray, lengths: np.ndarray, V: int) -> np.ndarray:
    """Which words a sentence has, (N, V) of 0 and 1; PAD and UNK are none."""
    found = np.zeros((ids.shape[1], V))
    valid = np.arange(len(ids))[:, None] < lengths
    found[np.nonzero(valid)[1], ids[valid]] = 1
    found[:, :2] = 0
    return found


def counting(train: Read, validation: Read, V: int) -> Counting:
    """Naive Bayes, with the smoothing that validation likes best.

    Reference:
        Wang and Manning (2012), Baselines and bigrams, section 2.1: multinomial, on words present or not.
    """
    X = present(train.ids, train.lengths, V)
    counts = np.stack([X[train.labels == area].sum(axis=0) for area in range(len(NAMES))], axis=1)
    tried = []
    for alpha in (0.03, 0.1, 0.3, 1.0, 3.0):
        p = (counts + alpha) / (counts + alpha).sum(axis=0)
        model = Counting(np.where(counts.sum(axis=1, keepdims=True) > 0, np.log(p), 0))
        tried.append((score(model, validation), alpha, model))
    return max(tried, key=lambda each: each[:2])[-1]


class Averaging(NamedTuple):
    """A linear readout of the mean of the words' vectors.

    Attributes:
        vectors: (V, SIZE), frozen.
        weight, bias: (classes, SIZE) and (classes,).
    """

    vectors: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def logits(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """(N, classes); arguments as those of `SequenceClassifier.logits`."""
        return self.mean(ids, lengths) @ self.weight.T + self.bias

    def mean(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """The direction of the mean vector of each sentence, (N, SIZE), of length 3."""
        sums = present(ids, lengths, len(self.vectors)) @ self.vectors
        return 3 * sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)


def averaging(train: Read, vectors: np.ndarray, steps: int = 150) -> Averaging:
    """The readout learned, by full-batch AdamW."""
    model = Averaging(vectors, np.zeros((len(NAMES), vectors.shape[1])), np.zeros(len(NAMES)))
    means = model.mean(train.ids, train.lengths)
    optimizer = AdamW({"weight": model.weight, "bias": model.bias}, 0.05, weight_decay=0.01)
    for _ in range(steps):
        _, dlogits = cross_entropy(means @ model.weight.T + model.bias, train.labels)
        optimizer.step({"weight": dlogits.T @ means, "bias": dlogits.sum(axis=0)})
    return model


# ---- the network -------------------------------------------------------------------------------------------------


EMBEDDING = "embedding.weight"


def network(V: int, seed: int, layer: str = "gru") -> SequenceClassifier:
    """Reads word by word, and answers from its last state."""
    return SequenceClassifier(
        len(NAMES), layer, vocabulary_size=V, embedding_size=SIZE, hidden_size=24, input_dropout=0.2,
        output_dropout=0.3, dtype=np.float32, rng=seed,
    )  # fmt: skip


def fit(
    model: SequenceClassifier, train_on: Read, validation: Read, seed: int, *, frozen: bool, rate: float = 0.01,
    epochs: int = 25,
) -> list[Epoch]:  # fmt: skip
    """Train with early stopping on the validation sentences; frozen: the words' vectors stay as they are."""
    parameters = {name: p for name, p in model.parameters.items() if not (frozen and name == EMBEDDING)}
    data, unseen = (Sequences(part.ids, part.labels, part.lengths, batch_size=16) for part in (train_on, validation))
    optimizer = AdamW(parameters, rate, weight_decay=0.02)
    return train(model, data, optimizer, epochs=epochs, clip=1.0, seed=seed, validation=unseen, patience=8)


def relayed(model: SequenceClassifier, layer: Stack) -> SequenceClassifier:
    """The same classifier with another recurrent layer of the same sizes; the other parameters are copies."""
    V, classes = model.reader.vocabulary_size, len(model.parameters["head.bias"])
    other = SequenceClassifier(classes, layer, vocabulary_size=V, read=model.read)
    for name, parameter in model.parameters.items():
        if not name.startswith("rnn."):
            other.parameters[name][...] = parameter
    return other


def score(model: Any, of: Read) -> float:
    """The share of sentences whose area a model names."""
    return accuracy(model.logits(of.ids, of.lengths).argmax(axis=1), of.labels)


def only(known: np.ndarray, of: Read) -> Read:
    """The same sentences, where only known words (V,) of bool are told apart: others are UNK."""
    return of._replace(ids=np.where(known[of.ids], of.ids, Words.unk))


# ---- few labels --------------------------------------------------------------------------------------------------

LABELS = (10, 40, 160)  # of each area
METHODS = ("counting", "averaging", "from scratch", "tuned at once", "frozen", "frozen, then tuned")


def learned(method: str, start: Start, train_on: Read, validation: Read, seed: int) -> tuple[Any, np.ndarray]:
    """A classifier by one of METHODS, and which words it tells apart, (V,) of bool.

    A network from scratch knows the words of its labelled sentences only, and its vectors begin small (0.1 N(0, 1)):
    both were better for it than V words at N(0, 1).
    """
    V = len(start.vocabulary)
    everything = np.ones(V, bool)
    if method == "counting":
        return counting(train_on, validation, V), everything
    if method == "averaging":
        return averaging(train_on, start.vectors), everything
    model = network(V, seed)
    vectors = model.parameters[EMBEDDING]
    if method == "from scratch":
        vectors *= 0.1
        known = np.isin(np.arange(V), train_on.ids)
        fit(model, only(known, train_on), only(known, validation), seed, frozen=False)
        return model, known
    vectors[...] = start.vectors
    fit(model, train_on, validation, seed, frozen=method.startswith("frozen"))
    if method == "frozen, then tuned":
        fit(model, train_on, validation, seed, frozen=False, rate=0.002, epochs=10)
    return model, everything


def _labels(arm: str, seed: int, full: bool) -> Mapping[str, float | Sequence[float]]:
    """Accuracy on unseen modules, for so many labels of each area."""
    parts = split(seed)
    start = pretrained(parts.texts)
    validation, test = read(start.vocabulary, parts.validation), read(start.vocabulary, parts.test)
    accuracies = []
    for each in LABELS if full else LABELS[:1]:
        train_on = read(start.vocabulary, some(parts.train, each))
        model, known = learned(arm, start, train_on, validation, seed)
        accuracies.append(score(model, only(known, test)))
    return {"accuracy": accuracies, "most": float(np.bincount(test.labels).max() / len(test.labels))}


labels = Study(
    "classification_labels", "What do words learned beforehand help, with few labels and with many?", METHODS, _labels,
    quick=2, full=10,
)  # fmt: skip


# ---- who is held out, and does order matter? ---------------------------------------------------------------------


def shuffled(of: Read, seed: int) -> Read:
    """The same sentences with their words in a random order."""
    rng = np.random.default_rng(seed)
    ids = of.ids.copy()
    for n, length in enumerate(of.lengths):
        ids[:length, n] = rng.permutation(ids[:length, n])
    return of._replace(ids=ids)


def _splits(arm: str, seed: int, full: bool) -> Mapping[str, float | Sequence[float]]:
    """Counting and reading on all labels, judged on sentences that were held out in one of two ways."""
    parts = split(seed, by=arm.removeprefix("by "))
    start = pretrained(parts.texts)
    chosen = parts.train if full else some(parts.train, 20)
    train_on, validation, test = (read(start.vocabulary, p) for p in (chosen, parts.validation, parts.test))
    model, _ = learned("frozen, then tuned" if full else "frozen", start, train_on, validation, seed)
    return {
        "counting": score(counting(train_on, validation, len(start.vocabulary)), test),
        "averaging": score(averaging(train_on, start.vectors), test),
        "network": score(model, test),
        "shuffled": score(model, shuffled(test, seed)),
    }


splits = Study(
    "classification_splits", "Held-out sentences or held-out modules: how good does a classifier look?",
    ("by sentence", "by module"), _splits, quick=2, full=8,
)  # fmt: skip
