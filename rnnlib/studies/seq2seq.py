"""The studies of lesson 16: a word is read, and written backwards. What does attention help, what scheduled sampling?

The letters of a word are drawn one by one, so that nothing but the source says what comes next. A seed has its own
words and its own first parameters; all arms of a seed read the same words.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np

from rnnlib.data.batching import pad
from rnnlib.models.seq2seq import EncoderDecoder
from rnnlib.optim import Adam
from rnnlib.studies.study import Measures, Study
from rnnlib.training import Pairs, train

BOS, EOS = 26, 27  # ids of a target, beside those of the letters, 0 to 25
EMBEDDING, BATCH, RATE, CLIP = 12, 32, 0.02, 1.0
# H with which all three have about as many parameters: additive attention brings matrices of its own.
UNITS = {None: 40, "dot": 35, "additive": 32}
SHORTEST, LONGEST = 2, 12  # letters of a word; in the quick setting at most QUICK
QUICK = 7


class Words(NamedTuple):
    """Words, and what is to be made of them, as `rnnlib.training.Pairs` takes them.

    Attributes:
        source: (Ts, N) letters, 0 to 25.
        source_lengths: (N,).
        target: (Ts + 1, N), the letters backwards and EOS.
        target_lengths: (N,).
    """

    source: np.ndarray
    source_lengths: np.ndarray
    target: np.ndarray
    target_lengths: np.ndarray


class Errors(NamedTuple):
    """Where a model is wrong, for each step of the target: (T, N), False on padding.

    Attributes:
        forced: each step was shown the true letters before it.
        free: each step read what the model itself had written; what is missing at the end is wrong.
        valid: the steps that there are.
    """

    forced: np.ndarray
    free: np.ndarray
    valid: np.ndarray


# ---- the task ------------------------------------------------------------------------------------------------------


def backwards(words: Sequence[str]) -> Words:
    """Words of the letters a to z with themselves written backwards.

    Raises:
        ValueError: a word is empty, or holds something else.
    """
    for word in words:
        if not word or set(word) - set(ascii_lowercase):
            raise ValueError(f"{word!r}: expected a word of the letters a to z, one at least")
    letters = [np.array([ascii_lowercase.index(letter) for letter in word]) for word in words]
    source, lengths = pad(letters)
    target, target_lengths = pad([np.append(word[::-1], EOS) for word in letters])
    return Words(source, lengths, target, target_lengths)


def drawn(N: int, rng: np.random.Generator, shortest: int = SHORTEST, longest: int = LONGEST) -> Words:
    """N words of letters drawn one by one, of every length alike, with themselves backwards."""
    lengths = rng.integers(shortest, longest + 1, N)
    return backwards(["".join(rng.choice(list(ascii_lowercase), length)) for length in lengths])


def letters(ids: np.ndarray) -> str:
    """A target as text, without its EOS; ids (T,)."""
    return "".join(ascii_lowercase[i] if i < 26 else "" for i in ids)


# ---- one run -------------------------------------------------------------------------------------------------------


def network(attention: str | None, seed: int, units: int | None = None) -> EncoderDecoder:
    """The model of the lesson: GRUs, a one-way encoder, and for each kind of attention its number of units."""
    return EncoderDecoder(
        26, 28, "gru", bos=BOS, eos=EOS, attention=attention, embedding_size=EMBEDDING,
        hidden_size=units or UNITS[attention], dtype=np.float32, rng=seed,
    )  # fmt: skip


def taught(model: EncoderDecoder, words: Words, *, epochs: int, seed: int, sampling: float = 0.0) -> None:
    """Train with Adam and a rate that falls to zero.

    Args:
        model: changed in place.
        words: to learn from.
        epochs, seed: as in `rnnlib.training.train`.
        sampling: the probability of reading one's own letters rises from 0 to this until two thirds of the steps.
    """
    data = Pairs(*words, batch_size=BATCH)
    steps = epochs * len(data)

    def rise(step: int) -> None:
        model.sampling = sampling * min(1.0, 1.5 * step / steps)

    train(
        model, data, Adam(model.parameters, RATE), epochs=epochs, clip=CLIP, seed=seed, before_step=rise,
        schedule=lambda step: 1 - step / steps,
    )  # fmt: skip


def errors(model: EncoderDecoder, words: Words) -> Errors:
    """Where the model errs, step by step: shown the truth, and reading its own letters."""
    target = words.target
    T, N = target.shape
    valid = np.arange(T)[:, None] < words.target_lengths
    said = model.logits(words.source, target, words.source_lengths, words.target_lengths)[0].argmax(axis=-1)
    written = model.generate(words.source, words.source_lengths, max_steps=T)
    alone = np.full((T, N), -1)
    alone[: len(written.ids)] = written.ids
    alone[np.arange(T)[:, None] >= written.lengths] = -1
    return Errors((said != target) & valid, (alone != target) & valid, valid)


def exact(wrong: np.ndarray) -> np.ndarray:
    """Which words are right in every step: (T, N) errors give (N,)."""
    return np.asarray(~wrong.any(axis=0))


def by_length(right: np.ndarray, lengths: np.ndarray) -> list[float]:
    """The share of words that are right, both (N,), for each length that occurs, from the shortest."""
    return [float(right[lengths == length].mean()) for length in np.unique(lengths)]


def by_step(wrong: np.ndarray, valid: np.ndarray) -> list[float]:
    """The share of letters that are wrong, for each step of the target; both (T, N)."""
    return (wrong.sum(axis=1) / valid.sum(axis=1)).tolist()


def after_first(wrong: np.ndarray, valid: np.ndarray) -> float:
    """The share of wrong letters among those that come after the first wrong one of their word; 0 where none does."""
    after = (np.cumsum(wrong, axis=0) - wrong > 0) & valid
    return float(wrong[after].mean()) if after.any() else 0.0


def words_of(seed: int, N: int, full: bool) -> tuple[Words, Words]:
    """N words to learn from, and others to be judged by; a seed has its own."""
    ours, theirs = np.random.default_rng([16, seed]).spawn(2)
    longest = LONGEST if full else QUICK
    return drawn(N, ours, longest=longest), drawn(1100 if full else 300, theirs, longest=longest)


# ---- the studies ---------------------------------------------------------------------------------------------------

ATTENTIONS: dict[str, str | None] = {"no attention": None, "dot": "dot", "additive": "additive"}
SAMPLINGS = {"teacher forcing": 0.0, "own letters, to 25 %": 0.25, "own letters, to 100 %": 1.0}


def looks_back(arm: str, seed: int, full: bool) -> Measures:
    """Exact matches with one kind of attention, all in all and for each length."""
    ours, theirs = words_of(seed, 3000 if full else 1000, full)
    model = network(ATTENTIONS[arm], seed)
    taught(model, ours, epochs=8, seed=seed)
    right = exact(errors(model, theirs).free)
    return {"exact": float(right.mean()), "by length": by_length(right, theirs.source_lengths)}


def reads_itself(arm: str, seed: int, full: bool) -> Measures:
    """Exact matches after one kind of practice, and the errors step by step, forced and free."""
    ours, theirs = words_of(seed, 1000 if full else 600, full)
    model = network("additive", seed)
    taught(model, ours, epochs=12 if full else 6, seed=seed, sampling=SAMPLINGS[arm])
    forced, free, valid = errors(model, theirs)
    return {
        "exact": float(exact(free).mean()),
        "forced error": float(forced.sum() / valid.sum()),
        "free error": float(free.sum() / valid.sum()),
        "forced after a slip": after_first(forced, valid),
        "free after a slip": after_first(free, valid),
        "forced by step": by_step(forced, valid),
        "free by step": by_step(free, valid),
    }


ATTENTION = Study(
    "attention", "Does a decoder that looks back write longer words backwards?", tuple(ATTENTIONS), looks_back,
    quick=2, full=8,
)  # fmt: skip
SAMPLING = Study(
    "scheduled_sampling", "Does it help to practise on one's own letters?", tuple(SAMPLINGS), reads_itself,
    quick=2, full=7,
)  # fmt: skip
