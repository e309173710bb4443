"""How good is it? Numbers that compare what a model said with what was true. Padding counts in none of them.

A metric takes predictions, truths and, for (T, N) batches, lengths; it knows no model. What training makes small stands
in `losses`; how a metric is drawn, in `viz`.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import cross_entropy, valid_positions


class Scores(NamedTuple):
    """Precision, recall and F1, class by class, with their averages.

    Attributes:
        precision, recall, f1: (C,); 0 where nothing was predicted, or nothing is true.
        support: (C,), how many of each class are true.
        macro: the three means over the classes that are true or predicted at least once.
        micro: the three over all predictions together; with one label each, all three are the accuracy.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    macro: tuple[float, float, float]
    micro: tuple[float, float, float]


class Calibration(NamedTuple):
    """Whether a confidence of 80 % is right in 80 % of cases.

    Attributes:
        error: the expected calibration error: the mean distance of confidence and accuracy, weighed by bin size.
        confidence, accuracy: (bins,), the mean in each bin; NaN in an empty one.
        sizes: (bins,), how many predictions each holds.
        edges: (bins + 1,).
    """

    error: float
    confidence: np.ndarray
    accuracy: np.ndarray
    sizes: np.ndarray
    edges: np.ndarray


class Interval(NamedTuple):
    """A difference with its bootstrap interval; where it does not hold 0, chance alone is an unlikely cause."""

    difference: float
    low: float
    high: float


def valid_pairs(predictions: ArrayLike, truths: ArrayLike, lengths: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    """The valid entries of both, flat.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: their shapes differ, lengths do not fit, or nothing is valid.
    """
    said, true = np.asarray(predictions), np.asarray(truths)
    if said.shape != true.shape:
        raise ValueError(
            f"predictions has shape {said.shape} and truths {true.shape}: expected the same; from logits take "
            "argmax(axis=-1)"
        )
    valid = valid_positions(said.shape, lengths)
    said, true = said[valid], true[valid]
    for name, array in (("predictions", said), ("truths", true)):
        if array.dtype.kind not in "iub":
            raise TypeError(f"{name} has dtype {array.dtype}: expected whole numbers, one class for each position")
    if said.size == 0:
        raise ValueError("no position is valid: there is nothing to compare; is every length 0?")
    return said, true


def accuracy(predictions: ArrayLike, truths: ArrayLike, lengths: ArrayLike | None = None) -> float:
    """The share of valid positions where the prediction is the truth.

    Args:
        predictions, truths: classes, alike in shape; (T, N) where lengths are given.
        lengths: (N,); None: every position is valid.

    Raises:
        TypeError: they are not whole numbers.
        ValueError: the shapes do not fit, or no position is valid.
    """
    said, true = valid_pairs(predictions, truths, lengths)
    return float((said == true).mean())


def confusion_matrix(
    predictions: ArrayLike, truths: ArrayLike, classes: int, lengths: ArrayLike | None = None
) -> np.ndarray:
    """How often class i was taken for class j: (C, C), one row for each truth, one column for each prediction.

    Raises:
        TypeError, ValueError: as `accuracy`; or a class is not in 0 to C - 1.
    """
    said, true = valid_pairs(predictions, truths, lengths)
    for name, array in (("predictions", said), ("truths", true)):
        if array.min() < 0 or array.max() >= classes:
            raise ValueError(f"{name} run from {array.min()} to {array.max()}: each must lie in 0 to {classes - 1}")
    return np.bincount(true.astype(np.int64) * classes + said, minlength=classes**2).reshape(classes, classes)


def precision_recall_f1(
    predictions: ArrayLike, truths: ArrayLike, classes: int, lengths: ArrayLike | None = None
) -> Scores:
    """Of what was called a class, how much is; of what is, how much was found; and the harmonic mean of the two.

    Args and errors as `confusion_matrix`.

    Reference:
        van Rijsbergen (1979), Information retrieval, chapter 7.
    """
    matrix = confusion_matrix(predictions, truths, classes, lengths)
    right, called, support = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    # precision = right / called, recall = right / support, F1 = 2 right / (called + support)
    precision, recall, f1 = ratio(right, called), ratio(right, support), ratio(2 * right, called + support)
    seen = called + support > 0
    macro = [float(values[seen].mean()) for values in (precision, recall, f1)]
    share = float(right.sum() / matrix.sum())
    return Scores(precision, recall, f1, support, (macro[0], macro[1], macro[2]), (share, share, share))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)


def perplexity(nats: float) -> float:
    """exp of a mean cross-entropy in nats: as uncertain as a fair choice among so many; infinite if too large."""
    return math.exp(nats) if nats < 709 else math.inf


def perplexity_of(logits: np.ndarray, targets: ArrayLike, lengths: ArrayLike | None = None) -> float:
    """The perplexity of logits (..., V) for targets (...); arguments and errors as `losses.cross_entropy`."""
    return perplexity(float(cross_entropy(logits, np.asarray(targets), lengths)[0]))


def bits(nats: float) -> float:
    """Nats in bits: of a character model's loss, bits per character."""
    return nats / math.log(2)


def calibration(
    probabilities: np.ndarray, truths: ArrayLike, lengths: ArrayLike | None = None, *, bins: int = 10
) -> Calibration:
    """Expected calibration error of the likeliest class, over bins of equal width.

    Args:
        probabilities: (..., C); what stands in the padding is never read.
        truths: (...), classes.
        lengths: (N,) for (T, N) batches; None: every position is valid.
        bins: how many, of confidence from 0 to 1; a value on an edge belongs to the bin below it.

    Raises:
        ValueError: shapes do not fit, a probability is not in 0 to 1, bins is below 1, or nothing is valid.

    Reference:
        Guo et al. (2017), On calibration of modern neural networks, equation 3.
    """
    truths = np.asarray(truths)
    if probabilities.shape[:-1] != truths.shape or bins < 1:
        raise ValueError(
            f"probabilities {probabilities.shape}, truths {truths.shape} and {bins} bins: expected (..., C), (...) and "
            "at least 1"
        )
    valid = valid_positions(truths.shape, lengths)
    p, true = probabilities[valid], truths[valid]
    if p.size == 0 or not (p.min() >= 0 and p.max() <= 1 + 1e-6):
        raise ValueError("probabilities must lie in 0 to 1 at one valid position at least: logits go through softmax")
    said, confidence = p.argmax(axis=-1), p.max(axis=-1)
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, values, bins) for values in (confidence, said == true)]
    with np.errstate(invalid="ignore"):
        means = [total / count for total in sums]
    # ECE = Σ_b (n_b / n) |accuracy_b - confidence_b|
    error = float(np.abs(sums[1] - sums[0]).sum() / len(p))
    return Calibration(error, means[0], means[1], count, edges)


def exact_match(candidates: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]]) -> float:
    """The share of candidates that equal their reference token for token.

    Raises:
        ValueError: there are not as many references, or none.
    """
    check_corpus(candidates, references)
    return sum(list(c) == list(r) for c, r in zip(candidates, references, strict=True)) / len(candidates)


def bleu(
    candidates: Sequence[Sequence[Hashable]],
    references: Sequence[Sequence[Sequence[Hashable]]],
    *,
    max_order: int = 4,
    smooth: bool = False,
) -> float:
    """Corpus BLEU: the geometric mean of n-gram precisions, times a penalty for being short.

    Args:
        candidates: token sequences.
        references: for each candidate, one or more token sequences.
        max_order: the longest n-gram.
        smooth: add one to the matches and the totals of each order above 1 (Lin and Och, 2004), so that a short text
            without a long match does not score 0.

    Returns:
        From 0 to 1.

    Raises:
        ValueError: there are not as many references, none at all, or max_order is below 1.

    Reference:
        Papineni et al. (2002), BLEU: a method for automatic evaluation of machine translation.
    """
    check_corpus(candidates, references)
    if max_order < 1 or any(not each for each in references):
        raise ValueError(f"max_order is {max_order}: expected at least 1, and a reference or more for each candidate")
    matches, totals, length, reference_length = [0] * max_order, [0] * max_order, 0, 0
    for candidate, several in zip(candidates, references, strict=True):
        length += len(candidate)
        reference_length += min((abs(len(r) - len(candidate)), len(r)) for r in several)[1]
        for n in range(1, max_order + 1):
            said = n_grams(candidate, n)
            allowed: Counter = Counter()
            for reference in several:
                allowed |= n_grams(reference, n)
            matches[n - 1] += (said & allowed).total()
            totals[n - 1] += said.total()
    added = [1 if smooth and n else 0 for n in range(max_order)]
    if any(m + a == 0 or t + a == 0 for m, t, a in zip(matches, totals, added, strict=True)):
        return 0.0
    # BLEU = exp(min(0, 1 - r / c)) · exp(1/n Σ log p_n)
    logs = [math.log((m + a) / (t + a)) for m, t, a in zip(matches, totals, added, strict=True)]
    return math.exp(min(0.0, 1 - reference_length / length) + sum(logs) / max_order)


def n_grams(tokens: Sequence[Hashable], n: int) -> Counter:
    """How often each run of n tokens occurs."""
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def check_corpus(candidates: Sequence, references: Sequence) -> None:
    """One reference entry for each candidate, and at least one."""
    if len(candidates) != len(references) or not len(candidates):
        raise ValueError(f"{len(candidates)} candidates and {len(references)} references: expected as many, not none")


def bootstrap_difference(
    metric: Callable[[np.ndarray], tuple[float, float]],
    examples: int,
    rng: np.random.Generator,
    *,
    samples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The difference of two models on the same examples, with a paired bootstrap interval.

    Args:
        metric: takes positions of examples, some of them twice, and returns the metric of model A and of model B on
            them. For scores per example: `lambda i: (a[i].mean(), b[i].mean())`.
        examples: how many there are.
        rng: draws them, with replacement, the same for both models.
        samples: how many times.
        level: of the interval, between its percentiles.

    Returns:
        A minus B on all examples, and the interval.

    Raises:
        ValueError: a number is out of range.

    Reference:
        Efron (1979), Bootstrap methods: another look at the jackknife. Koehn (2004), Statistical significance tests for
        machine translation evaluation.
    """
    if examples < 2 or samples < 1 or not 0 < level < 1:
        raise ValueError(
            f"examples, samples and level are {examples}, {samples} and {level}: expected at least 2, at least 1, and "
            "between 0 and 1"
        )

    def difference(chosen: np.ndarray) -> float:
        a, b = metric(chosen)
        return float(a) - float(b)

    drawn = [difference(rng.integers(examples, size=examples)) for _ in range(samples)]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(difference(np.arange(examples)), float(low), float(high))
