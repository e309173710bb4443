"""A sequence for a sequence: an encoder reads the source, a decoder writes the target and may look back.

A target ends with EOS and has no BOS: the decoder reads BOS and then the target itself, one step behind what it writes
(teacher forcing). Drawing with a beam does not come in here.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.losses import cross_entropy, valid_positions
from rnnlib.models.attending import Attending
from rnnlib.models.model import Forward, Model, prefixed
from rnnlib.models.reader import Reader
from rnnlib.models.readout import Readout
from rnnlib.recurrent.stack import Stack


class Decoded(NamedTuple):
    """What a decoder wrote.

    Attributes:
        ids: (T, N), each sequence up to its EOS, zero after it.
        lengths: (N,), EOS included; T where none was written.
        weights: (T, N, Ts), for each step where the decoder looked in the source, zero after EOS; None without
            attention.
    """

    ids: np.ndarray
    lengths: np.ndarray
    weights: np.ndarray | None


class Source(NamedTuple):
    """What the encoder leaves to the decoder, with the caches of how it came about."""

    state: Any
    memory: Any
    read: Any
    keys: Any


class EncoderDecoderCache(NamedTuple):
    source: Source
    decoded: Any
    attended: Any
    said: Any
    dlogits: np.ndarray


class EncoderDecoder(Model):
    """Two readers, the second starting from the last state of the first, with attention between them.

    The decoder has as many layers as the encoder, and states as long as the encoder's; those of a bidirectional
    encoder are put side by side, so that the decoder's are twice as long.

    Args:
        source_size: tokens of the source's vocabulary.
        target_size: tokens of the target's vocabulary.
        layer: "rnn", "gru" or "lstm", for both; or a pair of built layers, encoder and decoder.
        bos, eos: the ids with which a target begins and ends.
        attention: "additive", "dot", or None: the last state is all the decoder has.
        sampling: the probability that a step of the decoder reads the model's own last prediction, the most likely
            token, in place of the target's; only in training. It may be changed between steps.
        output_dropout: the probability that an entry of what the readout sees is dropped.
        rng: a seed or a Generator for the initial parameters.
        options: those of `Reader` and the layer; bidirectional is for the encoder.

    Raises:
        TypeError: as in `Reader`.
        ValueError: as there; or a name, id or probability is out of range, or built layers do not fit each other.

    Reference:
        Sutskever, Vinyals and Le (2014), Sequence to sequence learning with neural networks. Bahdanau, Cho and Bengio
        (2015), Neural machine translation by jointly learning to align and translate. Bengio et al. (2015), Scheduled
        sampling for sequence prediction with recurrent neural networks.
    """

    def __init__(
        self,
        source_size: int,
        target_size: int,
        layer: str | tuple[Stack, Stack] = "gru",
        *,
        bos: int,
        eos: int,
        attention: str | None = "additive",
        sampling: float = 0.0,
        output_dropout: float = 0.0,
        rng: np.random.Generator | int | None = None,
        **options: Any,
    ) -> None:
        rng = np.random.default_rng(rng)
        if not 0 <= min(bos, eos) <= max(bos, eos) < target_size:
            raise ValueError(f"bos and eos are {bos} and {eos}: expected ids of the target, 0 to {target_size - 1}")
        if not 0 <= sampling <= 1:
            raise ValueError(f"sampling is {sampling}: expected a probability, 0 for teacher forcing at every step")
        first, second = (layer, layer) if isinstance(layer, str) else layer
        self.encoder = Reader(first, vocabulary_size=source_size, rng=rng, **options)
        if isinstance(second, str):
            options |= {"hidden_size": self.encoder.output_size, "bidirectional": False}
        self.decoder = Reader(second, vocabulary_size=target_size, rng=rng, **options)
        check_fit(self.encoder, self.decoder)
        self.bos, self.eos, self.sampling = bos, eos, sampling
        size, dtype = self.decoder.output_size, self.decoder.rnn.dtype
        self.attention = None if attention is None else Attending(attention, size, dtype=dtype, rng=rng)
        self.head = Readout(size, target_size, dropout=output_dropout, dtype=dtype, rng=rng)
        looking = {} if self.attention is None else {"attention": self.attention}
        self.parts = {"encoder": self.encoder, "decoder": self.decoder, **looking, "head": self.head}

    def describe(self) -> dict[str, Any]:
        return super().describe() | {"bos": self.bos, "eos": self.eos}

    def read(
        self, source: ArrayLike, lengths: ArrayLike | None, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, Source]:
        """Encode: the states at every step of the source, and what the decoder takes from them."""
        hs, state, read = self.encoder.forward(source, lengths, rng=rng)
        memory, keys = (None, None) if self.attention is None else self.attention.remember(hs, lengths)
        return hs, Source(self.bridge(state), memory, read, keys)

    def bridge(self, state: Any) -> Any:
        """The encoder's last states as the decoder's first, both directions side by side."""
        K, directions = self.encoder.rnn.num_layers, self.encoder.rnn.directions

        def joined(h: np.ndarray) -> np.ndarray:
            by_layer = h.reshape(K, directions, *h.shape[1:])
            return np.concatenate([by_layer[:, d] for d in range(directions)], axis=-1)

        return tuple(map(joined, state)) if isinstance(state, tuple) else joined(state)

    def bridge_backward(self, dstate: Any) -> Any:
        """The gradient of the encoder's last states from that of the decoder's first."""
        directions = self.encoder.rnn.directions

        def parted(dh: np.ndarray) -> np.ndarray:
            sides = np.stack(np.split(dh, directions, axis=-1), axis=1)
            return sides.reshape(-1, *sides.shape[2:])

        return tuple(map(parted, dstate)) if isinstance(dstate, tuple) else parted(dstate)

    def write(
        self,
        inputs: np.ndarray,
        lengths: ArrayLike | None,
        state: Any,
        memory: Any,
        rng: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None, Any, tuple[Any, Any, Any]]:
        """Decode: logits and attention weights at every step, the last state, and the caches of the three parts."""
        hs, state, decoded = self.decoder.forward(inputs, lengths, state, rng)
        weights, attended = None, None
        if self.attention is not None:
            hs, weights, attended = self.attention.forward(hs, memory)
        logits, said = self.head.forward(hs, rng)
        return logits, weights, state, (decoded, attended, said)

    def shifted(self, target: np.ndarray) -> np.ndarray:
        """What the decoder reads under teacher forcing: BOS, and all of the target but its last token."""
        return np.concatenate([np.full_like(target[:1], self.bos), target[:-1]])

    def mixed(self, target: np.ndarray, source: Source, rng: np.random.Generator) -> np.ndarray:
        """What the decoder reads under scheduled sampling: at steps drawn by rng, what it predicted the step before.

        A prediction is a choice, through which no gradient flows: so the inputs can be chosen first, in evaluation, and
        the loss and its gradient are then those of teacher forcing on these inputs.
        """
        inputs = self.shifted(target)
        own = rng.random(inputs.shape) < self.sampling
        state = source.state
        for t in range(1, len(inputs)):
            logits, _, state, _ = self.write(inputs[t - 1 : t], None, state, source.memory)
            inputs[t] = np.where(own[t], logits[0].argmax(axis=-1), inputs[t])
        return inputs

    def logits(
        self,
        source: ArrayLike,
        target: ArrayLike,
        source_lengths: ArrayLike | None = None,
        target_lengths: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What the decoder thinks at every step of a target that it is shown, in evaluation.

        Args:
            source, target, source_lengths, target_lengths: as in `forward`.

        Returns:
            logits (T, N, target_size) and attention weights (T, N, Ts) or None, both zero on padding.

        Raises:
            TypeError, ValueError: as `Reader.forward`.
        """
        target = tokens(source, target, target_lengths)
        _, read = self.read(source, source_lengths)
        logits, weights, _, _ = self.write(self.shifted(target), target_lengths, read.state, read.memory)
        if target_lengths is not None:
            padding = ~valid_positions(target.shape, target_lengths)
            logits[padding] = 0
            if weights is not None:
                weights[padding] = 0
        return logits, weights

    def forward(
        self,
        source: ArrayLike,
        target: ArrayLike,
        source_lengths: ArrayLike | None = None,
        target_lengths: ArrayLike | None = None,
        *,
        rng: np.random.Generator | None = None,
    ) -> Forward:
        """The mean loss over the valid steps of the target.

        Args:
            source: (Ts, N) ids; on padding anything.
            target: (T, N) ids, each ended by EOS, without BOS; on padding anything.
            source_lengths, target_lengths: (N,); None: every sequence is as long as the batch.
            rng: draws what is dropped, and which steps read the model's own prediction; None: evaluation, with teacher
                forcing.

        Returns:
            Forward, whose targets are the valid steps of the target.

        Raises:
            TypeError, ValueError: as `Reader.forward` and `cross_entropy`.
        """
        target = tokens(source, target, target_lengths)
        _, read = self.read(source, source_lengths, rng)
        inputs = self.shifted(target) if rng is None or not self.sampling else self.mixed(target, read, rng)
        logits, _, _, caches = self.write(inputs, target_lengths, read.state, read.memory, rng)
        loss, dlogits = cross_entropy(logits, target, target_lengths)
        targets = int(target.size if target_lengths is None else np.sum(target_lengths))
        return Forward(loss, targets, None, EncoderDecoderCache(read, *caches, dlogits))

    def backward(self, cache: EncoderDecoderCache) -> tuple[dict[str, np.ndarray], np.ndarray]:
        dhs, of_head = self.head.backward(cache.dlogits, cache.said)
        dmemory, of_attention = None, dict[str, np.ndarray]()
        if self.attention is not None:
            dhs, dmemory, of_attention = self.attention.backward(dhs, cache.attended, cache.source.keys)
        of_decoder, _, dstate = self.decoder.backward(dhs, None, cache.decoded)
        of_encoder, dinputs, _ = self.encoder.backward(dmemory, self.bridge_backward(dstate), cache.source.read)
        of_parts = {"encoder": of_encoder, "decoder": of_decoder, "attention": of_attention, "head": of_head}
        return prefixed(of_parts), dinputs

    def generate(self, source: ArrayLike, lengths: ArrayLike | None = None, *, max_steps: int) -> Decoded:
        """Write, at each step the most likely token, until every sequence has its EOS.

        Args:
            source: (Ts, N) ids; on padding anything.
            lengths: (N,); None: every sequence has Ts steps.
            max_steps: how many tokens at most, at least 1.

        Returns:
            Decoded.

        Raises:
            TypeError, ValueError: as `Reader.forward`; or max_steps is below 1.
        """
        if max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}: expected at least 1")
        _, read = self.read(source, lengths)
        N = np.shape(source)[1]
        state, token, running = read.state, np.full((1, N), self.bos), np.ones(N, bool)
        ids, maps, ends = list[np.ndarray](), list[np.ndarray](), np.zeros(N, np.int64)
        while running.any() and len(ids) < max_steps:
            logits, weights, state, _ = self.write(token, None, state, read.memory)
            token = np.where(running, logits.argmax(axis=-1), 0)
            ids.append(token[0])
            if weights is not None:
                maps.append(np.where(running[:, None], weights[0], 0))
            ends += running
            running = running & (token[0] != self.eos)
        return Decoded(np.stack(ids), ends, np.stack(maps) if maps else None)


def tokens(source: ArrayLike, target: ArrayLike, lengths: ArrayLike | None) -> np.ndarray:
    """A target (T, N) with zeros for padding.

    Raises:
        ValueError: it has another shape, or another N than its source.
    """
    ids = np.asarray(target)
    if ids.ndim != 2 or ids.shape[1:] != np.shape(source)[1:]:
        raise ValueError(
            f"target has shape {ids.shape} and source {np.shape(source)}: expected (T, N) and (Ts, N) ids, one target, "
            "ended by EOS, for each source"
        )
    return ids if lengths is None else np.where(valid_positions(ids.shape, lengths), ids, 0)


def check_fit(encoder: Reader, decoder: Reader) -> None:
    """Whether the decoder can start from the encoder's last state.

    Raises:
        ValueError: it cannot, or it reads in both directions.
    """
    one, other = encoder.rnn, decoder.rnn
    if other.bidirectional:
        raise ValueError("the decoder is bidirectional: it would read the tokens that it is to write")
    ours = len(one.state_names), one.num_layers, encoder.output_size, one.dtype
    theirs = len(other.state_names), other.num_layers, decoder.output_size, other.dtype
    if ours != theirs:
        raise ValueError(
            f"the encoder leaves {ours} and the decoder starts from {theirs} (states, layers, size with both "
            "directions, dtype): expected the same"
        )
