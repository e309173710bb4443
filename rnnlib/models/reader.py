"""The first part of every model: tokens or numbers, through a recurrent stack."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnnlib import init
from rnnlib.layers import (
    dropout_backward,
    dropout_forward,
    embedding_backward,
    embedding_forward,
)
from rnnlib.losses import valid_positions
from rnnlib.models.model import prefixed
from rnnlib.recurrent import GRU, LSTM, RNN
from rnnlib.recurrent.stack import Stack, State

LAYERS: dict[str, type[Stack]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


class ReaderCache(NamedTuple):
    tokens: Any  # which tokens were dropped, and the embedding's cache; None where numbers are read
    dropped: Any
    stack: Any


class Reader:
    """Reads tokens, each as its vector, or numbers as they are.

    Args:
        layer: "rnn", "gru" or "lstm", made with `options`; or a layer that is already built.
        vocabulary_size: V, where tokens are read; None: numbers.
        input_size: D, where numbers are read.
        embedding_size: how long a token's vector is; None: hidden_size.
        token_dropout: the probability that a token of the vocabulary is dropped, everywhere in a batch.
        input_dropout: the probability that an entry of what the layer reads is dropped, anew at every step.
        dtype: of the parameters.
        rng: a seed or a Generator for the initial parameters.
        options: hidden_size, num_layers and all others of `rnnlib.recurrent.RNN`, `GRU` and `LSTM`.

    Attributes:
        parameters: embedding.weight (V, D), where tokens are read, from N(0, 1); and those of the layer after "rnn.".
        rnn: the layer.

    Raises:
        TypeError: options come with a built layer, or hidden_size is missing.
        ValueError: a name, a size or a rate is out of range, or sizes contradict each other.

    Reference:
        Gal and Ghahramani (2016), A theoretically grounded application of dropout in recurrent neural networks, section
        4.2: whole tokens are dropped.
    """

    def __init__(
        self,
        layer: str | Stack,
        *,
        vocabulary_size: int | None = None,
        input_size: int | None = None,
        embedding_size: int | None = None,
        token_dropout: float = 0.0,
        input_dropout: float = 0.0,
        dtype: DTypeLike = np.float64,
        rng: np.random.Generator | int | None = None,
        **options: Any,
    ) -> None:
        rng = np.random.default_rng(rng)
        reads_tokens = vocabulary_size is not None
        if reads_tokens and input_size is not None:
            raise ValueError("vocabulary_size and input_size came together: tokens have the first, numbers the second")
        if token_dropout and not reads_tokens:
            raise ValueError("token_dropout drops tokens of a vocabulary, and numbers are read: use input_dropout")
        for name, rate in (("token_dropout", token_dropout), ("input_dropout", input_dropout)):
            if not 0 <= rate < 1:
                raise ValueError(f"{name} is {rate}: expected a probability from 0 to below 1")
        size = embedding_size if reads_tokens else input_size
        self.rnn = built(layer, size, dtype, rng, options, "embedding_size" if reads_tokens else "input_size")
        self.vocabulary_size, self.token_dropout, self.input_dropout = vocabulary_size, token_dropout, input_dropout
        self.embedding: dict[str, np.ndarray] = {}
        if vocabulary_size is not None:
            if vocabulary_size < 1:
                raise ValueError(f"vocabulary_size is {vocabulary_size}: expected at least one token")
            shape = (vocabulary_size, self.rnn.input_size)
            self.embedding["weight"] = init.gaussian(shape, rng, self.rnn.dtype, std=1.0)

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        return prefixed({"embedding": self.embedding, "rnn": self.rnn.parameters})

    @property
    def output_size(self) -> int:
        """H * directions, what stands at each step of the output."""
        return self.rnn.hidden_size * self.rnn.directions

    def forward(
        self,
        inputs: ArrayLike,
        lengths: ArrayLike | None,
        state: State | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, Any, ReaderCache]:
        """Read a batch.

        Args:
            inputs: (T, N) ids, or (T, N, D) numbers; on padding anything.
            lengths: (N,); None: every sequence has T steps.
            state: the initial one; None: zero.
            rng: draws what is dropped; None: evaluation.

        Returns:
            output (T, N, H * directions), the last state, and the cache for `backward`; see `Stack.forward`.

        Raises:
            TypeError: ids are not whole numbers, or numbers are not of the parameters' dtype.
            ValueError: a shape, an id or a length is wrong, or a bidirectional layer is given a state.
        """
        if state is not None and self.rnn.bidirectional:
            raise ValueError(
                "a bidirectional layer cannot go on from the window before: its reverse direction would have to come "
                "from the window after; read whole sequences, or in one direction"
            )
        x, tokens = np.asarray(inputs), None
        if self.embedding:
            x, tokens = self.embed(x, lengths, rng)
        elif x.ndim != 3:
            raise ValueError(
                f"inputs has shape {x.shape}: expected (T, N, D) numbers; a model reads (T, N) ids where it was given "
                "a vocabulary_size, and one number each step is x[:, :, None]"
            )
        x, dropped = dropout_forward(x, self.input_dropout, rng)
        output, state, ran = self.rnn.forward(x, state, lengths, rng=rng)
        return output, state, ReaderCache(tokens, dropped, ran)

    def embed(self, ids: np.ndarray, lengths: ArrayLike | None, rng: np.random.Generator | None) -> tuple[Any, Any]:
        """The vectors of tokens, where each may be dropped from the vocabulary first."""
        if ids.ndim != 2:
            raise ValueError(f"inputs has shape {ids.shape}: expected (T, N) ids; one sequence is ids[:, None]")
        if lengths is not None:
            ids = np.where(valid_positions(ids.shape, lengths), ids, 0)
        W, dropped = dropout_forward(self.embedding["weight"], self.token_dropout, rng, shared_axes=(1,))
        x, embedded = embedding_forward(ids, W)
        return x, (dropped, embedded)

    def backward(
        self, doutput: np.ndarray | None, dstate: State | None, cache: ReaderCache
    ) -> tuple[dict[str, np.ndarray], np.ndarray, Any]:
        """Gradients by parameter, those of what the layer reads (T, N, D), and that of the initial state."""
        dx, dstate0, of_rnn = self.rnn.backward(doutput, dstate, cache.stack)
        dx = dropout_backward(dx, cache.dropped)
        gradients = prefixed({"rnn": of_rnn})
        if cache.tokens is not None:
            dropped, embedded = cache.tokens
            gradients = {"embedding.weight": dropout_backward(embedding_backward(dx, embedded), dropped)} | gradients
        return gradients, dx, dstate0

    def describe(self) -> dict[str, Any]:
        """The layer and its options, and how inputs reach it."""
        layer, options = self.rnn, ("vocabulary_size", "token_dropout", "input_dropout")
        shared = "input_size hidden_size num_layers bidirectional dropout variational_dropout zoneout layer_norm"
        return (
            {"layer": type(layer).__name__, "dtype": layer.dtype.name, "checkpoint": layer.checkpoint}
            | {name: getattr(layer, name) for name in shared.split()}
            | {"zoneout": list(layer.zoneout), "reset": getattr(layer, "reset", None)}
            | layer.cell_options()
            | {name: getattr(self, name) for name in options}
        )


def built(
    layer: str | Stack,
    input_size: int | None,
    dtype: DTypeLike,
    rng: np.random.Generator,
    options: dict[str, Any],
    size_name: str,
) -> Stack:
    """The layer that was asked for, by name and options or as it is; errors as in `Reader`."""
    if isinstance(layer, Stack):
        if options:
            raise TypeError(f"{sorted(options)} came with a layer that is already built: give them to the layer")
        if input_size not in (None, layer.input_size):
            raise ValueError(f"{size_name} is {input_size} and the layer reads {layer.input_size}: leave it out")
        return layer
    if layer not in LAYERS:
        raise ValueError(f"layer is {layer!r}: expected one of {', '.join(LAYERS)}, or a built layer")
    if "hidden_size" not in options:
        raise TypeError(f'hidden_size is missing: how many units has the {layer}? e.g. "{layer}", hidden_size=64')
    if input_size is None and size_name == "input_size":
        raise TypeError("input_size and vocabulary_size are missing: numbers need the first, tokens the second")
    hidden_size, others = options["hidden_size"], {k: v for k, v in options.items() if k != "hidden_size"}
    return LAYERS[layer](hidden_size if input_size is None else input_size, hidden_size, dtype=dtype, rng=rng, **others)
