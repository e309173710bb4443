"""A sequence for a sequence: encoder, decoder and attention, under teacher forcing or scheduled sampling."""

from typing import Any

import torch

from rnnlib.models.seq2seq import EncoderDecoder
from rnnlib.torchref.models.attending import Memory, TorchAttending
from rnnlib.torchref.models.batch import Counts, Values, as_tensor, counted, tokens
from rnnlib.torchref.models.dropping import below, check_rng
from rnnlib.torchref.models.losses import cross_entropy
from rnnlib.torchref.models.model import TorchForward, TorchModel, refuse_state
from rnnlib.torchref.models.reader import TorchReader
from rnnlib.torchref.models.readout import TorchReadout
from rnnlib.torchref.noise import Rng
from rnnlib.torchref.run import Lengths, State


class TorchEncoderDecoder(TorchModel):
    """`rnnlib.models.EncoderDecoder` in torch.

    Args:
        model: whose twin it is.
        form: how the recurrent twins run.

    Attributes:
        sampling: as the model's; it may be changed between steps.
    """

    def __init__(self, model: EncoderDecoder, form: str) -> None:
        super().__init__(model)
        self.encoder, self.decoder = TorchReader(model.encoder, form), TorchReader(model.decoder, form)
        self.attention = None if model.attention is None else TorchAttending(model.attention)
        self.head = TorchReadout(model.head)
        self.bos, self.sampling = model.bos, model.sampling

    def forward(
        self,
        source: Values,
        target: Values,
        source_lengths: Lengths | None = None,
        target_lengths: Lengths | None = None,
        *,
        state: State | None = None,
        rng: Rng | None = None,
    ) -> TorchForward:
        """The mean loss over the target's valid steps; arguments, results and errors as `EncoderDecoder.forward`."""
        refuse_state(state)
        check_rng(rng)
        given, wanted = as_tensor(source), as_tensor(target)
        if wanted.ndim != 2 or wanted.shape[1:] != given.shape[1:]:
            raise ValueError(
                f"target has shape {tuple(wanted.shape)} and source {tuple(given.shape)}: expected (T, N) and (Ts, N) "
                "ids, one target, ended by EOS, for each source"
            )
        source_counts, counts = counted(source_lengths, given.shape), counted(target_lengths, wanted.shape)
        wanted = tokens(wanted, counts, len(self.head.bias), self.head.bias.device)
        hs, left = self.encoder.read(given, source_counts, None, rng)
        memory = None if self.attention is None else self.attention.remember(hs, source_counts)
        first = self.bridge(left)
        inputs = torch.cat([torch.full_like(wanted[:1], self.bos), wanted[:-1]])
        if rng is not None and self.sampling:
            inputs = self.mixed(inputs, first, memory, rng)
        logits, _ = self.write(inputs, counts, first, memory, rng)
        steps = wanted.numel() if counts is None else sum(counts)
        return TorchForward(cross_entropy(logits, wanted, counts), steps, None)

    def bridge(self, state: State) -> State:
        """The encoder's last states as the decoder's first, both directions side by side."""
        K, directions = self.encoder.rnn.num_layers, 2 if self.encoder.rnn.bidirectional else 1

        def joined(h: torch.Tensor) -> torch.Tensor:
            return torch.cat(h.unflatten(0, (K, directions)).unbind(1), dim=-1)

        return tuple(map(joined, state)) if isinstance(state, tuple) else joined(state)

    def write(
        self, inputs: torch.Tensor, counts: Counts, state: Any, memory: Memory | None, rng: Rng | None = None
    ) -> tuple[torch.Tensor, State]:
        """Decode: logits at every step and the last state."""
        hs, state = self.decoder.read(inputs, counts, state, rng)
        if self.attention is not None:
            hs = self.attention(hs, memory)
        return self.head(hs, rng), state

    @torch.no_grad()
    def mixed(self, inputs: torch.Tensor, state: Any, memory: Memory | None, rng: Rng) -> torch.Tensor:
        """What the decoder reads under scheduled sampling: at steps drawn by rng, what it predicted the step before.

        As in rnnlib the inputs are chosen first, in evaluation: no gradient flows through a choice.
        """
        own = below(self.sampling, inputs.shape, rng, inputs.device)
        for t in range(1, len(inputs)):
            logits, state = self.write(inputs[t - 1 : t], None, state, memory)
            inputs[t] = torch.where(own[t], logits[0].argmax(dim=-1), inputs[t])
        return inputs
