"""What comes next? A model of token after token, and how one draws text from it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.data.batching import stream_windows
from rnnlib.models.steps import StepModel
from rnnlib.recurrent.stack import Stack, State


class LanguageModel(StepModel):
    """At every step the probability of each token to come: embedding, recurrent stack, softmax.

    Args:
        vocabulary_size: V.
        layer: "rnn", "gru" or "lstm", or a built layer; not bidirectional.
        options: those of `StepModel`, `Reader` and the layer.

    Raises:
        TypeError: as in `StepModel`.
        ValueError: as there, or the layer is bidirectional.

    Reference:
        Mikolov et al. (2010), Recurrent neural network based language model.
    """

    def __init__(self, vocabulary_size: int, layer: str | Stack = "lstm", **options: Any) -> None:
        super().__init__(vocabulary_size, layer, vocabulary_size=vocabulary_size, **options)
        if self.reader.rnn.bidirectional:
            raise ValueError("a bidirectional layer has read the token that is to be predicted: use one direction")

    def generate(
        self,
        prompt: ArrayLike,
        steps: int,
        rng: np.random.Generator,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        stop: int | None = None,
    ) -> np.ndarray:
        """Draw a continuation, token by token.

        Args:
            prompt: (T,) ids, at least one.
            steps: how many tokens to draw at most.
            rng: draws them.
            temperature, top_k: see `sample`.
            stop: a token, such as EOS, after which nothing more is drawn; it is the last one returned.

        Returns:
            (steps,) ids, or fewer; without the prompt.

        Raises:
            TypeError, ValueError: as `sample`; or the prompt is no sequence of ids.
        """
        read: np.ndarray = np.asarray(prompt)
        if read.ndim != 1 or read.size == 0:
            raise ValueError(f"prompt has shape {read.shape}: expected (T,) ids with T at least 1, such as that of BOS")
        drawn: list[int] = []
        state: State | None = None
        while len(drawn) < steps and (not drawn or drawn[-1] != stop):
            logits, state = self.logits(read[:, None], state=state)
            read = sample(logits[-1], rng, temperature=temperature, top_k=top_k)
            drawn.append(int(read[0]))
        return np.array(drawn, np.int64)

    def perplexity(self, stream: ArrayLike, *, window: int = 512) -> float:
        """exp of the mean of -log p over every token of a stream but the first, the state carried all along.

        Args:
            stream: (L,) ids, L at least 2.
            window: how many steps are held in memory at once; it does not change the result.

        Returns:
            From 1, always certain and right; V is what a guess among all tokens has.

        Raises:
            TypeError, ValueError: the stream is no sequence of ids of this vocabulary, or too short.
        """
        total, state = 0.0, None
        windows = stream_windows(np.asarray(stream), 1, window)
        for inputs, targets in zip(windows.inputs, windows.targets, strict=True):
            loss, T, state, _ = self.forward(inputs, targets, state=state)
            total += float(loss) * T
        return float(np.exp(total / sum(map(len, windows.targets))))


def sample(
    logits: np.ndarray, rng: np.random.Generator, *, temperature: float = 1.0, top_k: int | None = None
) -> np.ndarray:
    """Draw one token from each row of logits.

    Args:
        logits: (..., V).
        rng: draws.
        temperature: logits are divided by it: below 1 likely tokens become likelier, above 1 all become more alike.
        top_k: only the k most likely tokens can be drawn, 1 always takes the most likely; None: all can.

    Returns:
        (...), ids.

    Raises:
        ValueError: the temperature is not above 0, or top_k is not from 1 to V.

    Reference:
        Fan, Lewis and Dauphin (2018), Hierarchical neural story generation: top-k. Gumbel (1954): the largest of
        log p_v + g_v, with g_v = -log(-log u_v), is at v with probability p_v.
    """
    V = logits.shape[-1]
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature is {temperature}: expected above 0; top_k=1 takes the most likely token")
    if top_k is not None and not 1 <= top_k <= V:
        raise ValueError(f"top_k is {top_k}: expected from 1 to V = {V}")
    scores = logits / temperature
    if top_k is not None:
        rejected = np.argpartition(scores, V - top_k, axis=-1)[..., : V - top_k]
        np.put_along_axis(scores, rejected, -np.inf, axis=-1)
    return (scores + rng.gumbel(size=scores.shape)).argmax(axis=-1)
