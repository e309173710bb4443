"""SYNTHETIC tasks: made by a formula, so that it is known what a network must do and how well it can do it.

Nothing here was measured. Each task isolates one ability: to remember for a while, to use order, to keep still where
nothing can be learned.
"""

from typing import NamedTuple

import numpy as np

ANIMALS = "dog", "cat", "goat", "parrot", "horse", "monkey"
PEOPLE = "man", "woman", "child", "baker", "farmer", "doctor"
VERBS = "bites", "chases", "sees", "follows", "hears"
BASES = "ACGT"


class Adding(NamedTuple):
    """Attributes: x (T, N, 2), the numbers and their marks; y (N,), the sum of the two marked numbers."""

    x: np.ndarray
    y: np.ndarray


class Copying(NamedTuple):
    """Attributes: inputs and targets (T, N), ids below V; V = symbols + 2; chance, the loss in nats of no memory."""

    inputs: np.ndarray
    targets: np.ndarray
    V: int
    chance: float


class Motif(NamedTuple):
    """Attributes: ids (T, N), places in "ACGT"; labels (N,), 1 where the motif was planted; starts (N,), -1 if not."""

    ids: np.ndarray
    labels: np.ndarray
    starts: np.ndarray


def adding(T: int, N: int, rng: np.random.Generator) -> Adding:
    """SYNTHETIC: add the two marked numbers of a sequence, the first marked in its first half, the second in the other.

    Always answering 1 has a mean squared error of 1/6: below that, something is remembered.

    Args:
        T: steps, at least 2.
        N: sequences.
        rng: draws numbers, uniform from 0 to 1, and marks.

    Raises:
        ValueError: T is below 2 or N below 1.

    Reference:
        Hochreiter and Schmidhuber (1997), Long short-term memory, section 5.4; the form is that of Le, Jaitly, Hinton
        (2015), A simple way to initialize recurrent networks of rectified linear units.
    """
    at_least(("T", T, 2), ("N", N, 1))
    numbers, marks = rng.uniform(0, 1, (T, N)), np.zeros((T, N))
    columns = np.arange(N)
    marks[rng.integers(0, T // 2, N), columns] = 1
    marks[rng.integers(T // 2, T, N), columns] = 1
    # y = Σ_t number_t mark_t
    return Adding(np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=0))


def copying(lag: int, N: int, rng: np.random.Generator, *, symbols: int = 8, length: int = 10) -> Copying:
    """SYNTHETIC: say `length` symbols again, after `lag` blanks and at the signal.

    Symbols are ids 0 to symbols - 1, the blank is `symbols`, the signal `symbols + 1`. A network without memory can
    expect blanks where they come and guess elsewhere: its loss is `chance` = length log(symbols) / T.

    Args:
        lag: blanks to wait through, at least 1; the last of them is the signal.
        N: sequences.
        rng: draws the symbols.
        symbols: how many different ones.
        length: how many to remember.

    Returns:
        Copying, with T = lag + 2 length.

    Raises:
        ValueError: a number is below 1.

    Reference:
        Hochreiter and Schmidhuber (1997), Long short-term memory; the form is that of Arjovsky, Shah, Bengio (2016),
        Unitary evolution recurrent neural networks.
    """
    at_least(("lag", lag, 1), ("N", N, 1), ("symbols", symbols, 1), ("length", length, 1))
    T, blank, signal = lag + 2 * length, symbols, symbols + 1
    inputs, targets = np.full((T, N), blank), np.full((T, N), blank)
    inputs[:length] = targets[-length:] = rng.integers(0, symbols, (length, N))
    inputs[length + lag - 1] = signal
    return Copying(inputs, targets, symbols + 2, float(length * np.log(symbols) / T))


def parity(T: int, N: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """SYNTHETIC: after each bit, say whether the number of ones so far is odd. One bit of memory, never to be lost.

    Args:
        T: steps.
        N: sequences.
        rng: draws the bits.

    Returns:
        x: (T, N, 1), 0.0 or 1.0.
        odd: (T, N), 0 or 1.

    Raises:
        ValueError: T or N is below 1.
    """
    at_least(("T", T, 1), ("N", N, 1))
    bits = rng.integers(0, 2, (T, N))
    # odd_t = (Σ_{s ≤ t} bit_s) mod 2
    return bits[:, :, None].astype(np.float64), bits.cumsum(axis=0) % 2


def dog_bites_man() -> tuple[list[str], np.ndarray]:
    """SYNTHETIC: sentences of three words; is it the animal that acts? Only the order of the words tells.

    Each bag of words occurs twice, once with each label: a model that cannot see order is right half of the time,
    whatever it learns.

    Returns:
        sentences: 360, such as "dog bites man"; the two orders of the same words follow each other, so item // 2 is the
            entity to split by.
        labels: (360,), 1 where the animal acts, 0 where the person does.
    """
    orders = [(f"{a} {v} {p}", f"{p} {v} {a}") for a in ANIMALS for v in VERBS for p in PEOPLE]
    return [sentence for pair in orders for sentence in pair], np.tile([1, 0], len(orders))


def random_walk(
    T: int, N: int, rng: np.random.Generator, *, start: float = 100.0, volatility: float = 0.01
) -> np.ndarray:
    """SYNTHETIC: a series like a price, in which nothing can be learned.

    Each step multiplies by exp(ε), ε normal and independent of the past, scaled so that the best forecast (in the mean
    squared sense) of every later value is today's.

    Args:
        T: steps.
        N: series.
        rng: draws the steps.
        start: the value of each series at its first step.
        volatility: the standard deviation of ε.

    Returns:
        (T, N), above zero.

    Raises:
        ValueError: T or N is below 1, or start or volatility is not above zero.
    """
    at_least(("T", T, 1), ("N", N, 1))
    if not (start > 0 and volatility > 0):
        raise ValueError(f"start is {start} and volatility is {volatility}: both must be above zero")
    # ε ~ N(-σ²/2, σ²), so that E[exp ε] = 1
    steps = rng.normal(-(volatility**2) / 2, volatility, (T, N))
    steps[0] = 0
    return start * np.exp(steps.cumsum(axis=0))


def planted_motif(
    T: int, N: int, rng: np.random.Generator, *, motif: str = "TATAAT", share: float = 0.1, fidelity: float = 0.9
) -> Motif:
    """SYNTHETIC: find a short motif, copied with errors, somewhere in random DNA; few sequences have one.

    Args:
        T: bases of a sequence, at least as many as the motif's.
        N: sequences.
        rng: draws bases, places, errors and which sequences get a motif.
        motif: of A, C, G and T; by default the bacterial promoter's -10 box.
        share: of the sequences that have a motif: the size of the rarer class.
        fidelity: the probability that a base of the motif is copied and not drawn at random.

    Returns:
        Motif. A sequence labelled 0 may hold the motif by chance, with odds of about T / 4^6 for six bases.

    Raises:
        ValueError: a number is out of range, or the motif is not DNA.

    Reference:
        Pribnow (1975), Nucleotide sequence of an RNA polymerase binding site at an early T7 promoter.
    """
    if not motif or set(motif) - set(BASES):
        raise ValueError(f"motif is {motif!r}: expected letters of {BASES!r}")
    at_least(("T", T, len(motif)), ("N", N, 1))
    if not (0 <= share <= 1 and 0 <= fidelity <= 1):
        raise ValueError(f"share is {share} and fidelity is {fidelity}: each must lie in 0 to 1")
    ids = rng.integers(0, len(BASES), (T, N))
    labels = (np.arange(N) < round(share * N)).astype(np.int64)
    rng.shuffle(labels)
    starts = np.where(labels == 1, rng.integers(0, T - len(motif) + 1, N), -1)
    for k, base in enumerate(motif):
        copied = np.flatnonzero((labels == 1) & (rng.random(N) < fidelity))
        ids[starts[copied] + k, copied] = BASES.index(base)
    return Motif(ids, labels, starts)


def at_least(*limits: tuple[str, int, int]) -> None:
    """See that no number is too small: (name, value, the least it may be).

    Raises:
        ValueError: one is.
    """
    for name, value, least in limits:
        if value < least:
            raise ValueError(f"{name} is {value}: expected at least {least}")
