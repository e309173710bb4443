"""What comes next, by counting: the n-gram model, the baseline that a recurrent language model has to beat.

It knows its last order - 1 tokens and nothing before, and has nothing to train: everything here is an array of counts.
No gradient comes in.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.models.language import sample


class Level(NamedTuple):
    """All runs of k tokens that were seen, sorted, so that those with one beginning stand side by side.

    A run's number is its place here; its beginning (all but its last token) is a run of the level below.

    Attributes:
        runs: (R,), ascending: (number of the beginning) · (V + 1) + last token.
        counts: (R,): how often; on all levels but the last, after how many different tokens (Kneser and Ney).
        total: (B,), the sum of the counts of each beginning.
        kinds: (B,), how many tokens were seen after each beginning.
    """

    runs: np.ndarray
    counts: np.ndarray
    total: np.ndarray
    kinds: np.ndarray


class NGram:
    """Interpolated Kneser-Ney: the counts after a long context, filled up by a shorter one, and so on down.

    p_k(v | context) = max(c(context v) - d, 0) / c(context) + d · kinds(context) / c(context) · p_{k-1}(v | shorter),
    with p_0 = 1 / V. A context that was never seen leaves it all to the shorter one.

    Args:
        stream: (L,) ids of the training text.
        vocabulary_size: V.
        order: the longest run that is counted: 1 for single tokens, 3 for a token after two others.
        discount: d, taken from each count and given to the shorter context. Tune it, and the order, on validation text.

    Raises:
        TypeError: the stream does not hold whole numbers.
        ValueError: an id is not in the vocabulary, the stream is empty, or a number is out of range.

    Reference:
        Kneser and Ney (1995), Improved backing-off for m-gram language modeling. Chen and Goodman (1999), An empirical
        study of smoothing techniques for language modeling, section 2.7: the interpolated form.
    """

    def __init__(self, stream: ArrayLike, vocabulary_size: int, *, order: int, discount: float = 0.75) -> None:
        if order < 1 or not 0 < discount < 1:
            raise ValueError(f"order is {order} and discount {discount}: expected at least 1, and between 0 and 1")
        self.vocabulary_size, self.order, self.discount = vocabulary_size, order, discount
        tokens = self._after_boundary(self._ids("stream", stream))
        numbers = [np.zeros(len(tokens), np.int64)]  # for each length and position, the number of the run ending there
        runs = []
        for _ in range(order):
            keys = _shifted(numbers[-1], 0) * (vocabulary_size + 1) + tokens
            found, number = np.unique(keys, return_inverse=True)
            runs.append(found)
            numbers.append(number)
        self.levels = [self._level(k, runs, numbers) for k in range(1, order + 1)]

    def probabilities(self, context: ArrayLike) -> np.ndarray:
        """What comes after a context: (V,) probabilities.

        Args:
            context: (T,) ids, the last ones count; none is the beginning of the text.

        Raises:
            TypeError, ValueError: as for the stream, which may be empty here.
        """
        tokens = self._after_boundary(self._ids("context", context, at_least=0))
        every = np.arange(self.vocabulary_size)
        p = np.full(self.vocabulary_size, 1 / self.vocabulary_size)
        for k in range(1, self.order + 1):
            beginning = self._number(tokens[len(tokens) - (k - 1) :])
            p, _ = self._longer(p, self.levels[k - 1], np.full(len(every), beginning), every)
        return p

    def surprise(self, stream: ArrayLike) -> np.ndarray:
        """-log p of every token of a stream but the first, each with all tokens of the stream before it to see.

        Args:
            stream: (L,) ids, L at least 2.

        Returns:
            (L - 1,), nats.

        Raises:
            TypeError, ValueError: as for the training stream.
        """
        tokens = self._after_boundary(self._ids("stream", stream, at_least=2))
        p = np.full(len(tokens), 1 / self.vocabulary_size)
        beginning = np.zeros(len(tokens), np.int64)
        for level in self.levels:
            p, number = self._longer(p, level, beginning, tokens)
            beginning = _shifted(number, -1)
        return -np.log(p[self.order + 1 :])  # without the boundaries, and the first token

    def perplexity(self, stream: ArrayLike) -> float:
        """exp of the mean of `surprise`: to be held beside `LanguageModel.perplexity` of the same stream."""
        return float(np.exp(self.surprise(stream).mean()))

    def generate(
        self,
        prompt: ArrayLike,
        steps: int,
        rng: np.random.Generator,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
    ) -> np.ndarray:
        """Draw a continuation, token by token, as `LanguageModel.generate` does.

        Args:
            prompt: (T,) ids.
            steps: how many tokens to draw.
            rng: draws them.
            temperature, top_k: see `rnnlib.models.sample`.

        Returns:
            (steps,) ids, without the prompt.

        Raises:
            TypeError, ValueError: as `probabilities` and `sample`.
        """
        drawn = self._ids("prompt", prompt, at_least=0).tolist()
        start = len(drawn)
        for _ in range(steps):
            logits = np.log(self.probabilities(np.array(drawn, np.int64)[-self.order :]))
            drawn.append(int(sample(logits, rng, temperature=temperature, top_k=top_k)))
        return np.array(drawn[start:], np.int64)

    def _level(self, k: int, runs: list[np.ndarray], numbers: list[np.ndarray]) -> Level:
        own, V = runs[k - 1], self.vocabulary_size
        if k == self.order:
            counts = np.bincount(numbers[k], minlength=len(own))
        else:  # of each longer run one place, and the number that its ending has there
            place = np.empty(len(runs[k]), np.int64)
            place[numbers[k + 1]] = np.arange(len(numbers[k + 1]))
            counts = np.bincount(numbers[k][place], minlength=len(own))
        counts[own % (V + 1) == V] = 0  # the boundary is read, never predicted
        beginnings = len(runs[k - 2]) if k > 1 else 1
        total = np.bincount(own // (V + 1), counts, minlength=beginnings)
        kinds = np.bincount(own // (V + 1), counts > 0, minlength=beginnings)
        return Level(own, counts, total, kinds)

    def _longer(
        self, p: np.ndarray, level: Level, beginning: np.ndarray, tokens: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities of tokens after beginnings (-1: never seen), from those after shorter ones; their runs."""
        number = _find(level.runs, np.where(beginning < 0, -1, beginning * (self.vocabulary_size + 1) + tokens))
        counts = np.where(number < 0, 0, level.counts[number])
        total, kinds = level.total[beginning], level.kinds[beginning]
        known = (beginning >= 0) & (total > 0)
        filled = (np.maximum(counts - self.discount, 0) + self.discount * kinds * p) / np.where(known, total, 1)
        return np.where(known, filled, p), number

    def _number(self, tokens: np.ndarray) -> int:
        """The number of a run; -1 if it was never seen."""
        number = np.zeros(1, np.int64)
        for level, token in zip(self.levels, tokens, strict=False):
            number = _find(level.runs, np.where(number < 0, -1, number * (self.vocabulary_size + 1) + token))
        return int(number[0])

    def _after_boundary(self, ids: np.ndarray) -> np.ndarray:
        """The ids, with as many boundaries before them as the longest context holds and one more."""
        return np.concatenate([np.full(self.order, self.vocabulary_size), ids])

    def _ids(self, name: str, values: ArrayLike, at_least: int = 1) -> np.ndarray:
        ids = np.asarray(values)
        if ids.size and ids.dtype.kind not in "iu":
            raise TypeError(
                f"{name} has dtype {ids.dtype}: expected ids; text goes through a vocabulary's encode first"
            )
        if ids.ndim != 1 or len(ids) < at_least:
            raise ValueError(f"{name} has shape {ids.shape}: expected (L,) ids, L at least {at_least}")
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocabulary_size:
            raise ValueError(
                f"{name} holds ids from {ids.min()} to {ids.max()}: expected 0 to V - 1 = {self.vocabulary_size - 1}; "
                "is it another vocabulary's?"
            )
        return ids.astype(np.int64)


def _find(runs: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """The places of keys among sorted runs; -1 for those that are not there."""
    place = np.minimum(np.searchsorted(runs, keys), len(runs) - 1)
    return np.where(runs[place] == keys, place, -1)


def _shifted(numbers: np.ndarray, first: int) -> np.ndarray:
    """Of each position, the number of the position before."""
    return np.concatenate([[first], numbers[:-1]])
