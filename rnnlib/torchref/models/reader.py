"""The first part of every model: tokens or numbers, through a recurrent twin."""

from typing import Any

import numpy as np
import torch

from rnnlib.models.reader import Reader
from rnnlib.recurrent.stack import MAX_SEED
from rnnlib.torchref.models.batch import Counts, Values, as_tensor, numbers, tokens
from rnnlib.torchref.models.dropping import below, check_rng, drop
from rnnlib.torchref.modules import Twin, twin
from rnnlib.torchref.noise import Rng
from rnnlib.torchref.run import State


class TorchReader(torch.nn.Module):
    """`rnnlib.models.reader.Reader` in torch: a part, or a base of a model whose reader adds nothing to its names.

    Args:
        reader: whose parameters it copies.
        form: how the recurrent twin runs.
    """

    def __init__(self, reader: Reader, form: str) -> None:
        super().__init__()
        self.vocabulary_size = reader.vocabulary_size
        self.token_dropout, self.input_dropout = reader.token_dropout, reader.input_dropout
        if reader.embedding:
            self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(reader.embedding["weight"]), freeze=False)
        self.rnn: Twin = twin(reader.rnn, form)

    def read(
        self, inputs: Values, counts: Counts, state: Any = None, rng: Rng | None = None
    ) -> tuple[torch.Tensor, State]:
        """Read a batch.

        Args:
            inputs: (T, N) ids, or (T, N, D) numbers; on padding anything.
            counts: how many steps of each sequence are valid; None: all.
            state: the initial one, tensors or arrays; None: zero.
            rng: draws what is dropped; None: evaluation.

        Returns:
            output (T, N, H * directions), zero on padding, and the last state.

        Raises:
            TypeError, ValueError: as `rnnlib.models.reader.Reader.forward`.
            Unsupported: the form of the recurrent twin cannot run this batch.
        """
        check_rng(rng)
        if state is not None and self.rnn.bidirectional:
            raise ValueError(
                "a bidirectional layer cannot go on from the window before: its reverse direction would have to come "
                "from the window after; read whole sequences, or in one direction"
            )
        like, given = self.rnn.weight_ih_l0, as_tensor(inputs)
        if 0 in given.shape:
            raise ValueError(f"inputs has shape {tuple(given.shape)}: expected at least one step and one sequence")
        if self.vocabulary_size is not None:
            x = self.embed(given, counts, rng)
        elif given.ndim != 3:
            raise ValueError(
                f"inputs has shape {tuple(given.shape)}: expected (T, N, D) numbers; a model reads (T, N) ids where it "
                "was given a vocabulary_size, and one number each step is x[:, :, None]"
            )
        else:
            x = numbers("inputs", given, like)
        x = drop(x, self.input_dropout, rng)
        return self.rnn(x, placed(state, like), counts, rng=self.seeded(rng))

    def embed(self, ids: torch.Tensor, counts: Counts, rng: Rng | None) -> torch.Tensor:
        """The vectors of tokens, where each may be dropped from the vocabulary first."""
        if ids.ndim != 2:
            raise ValueError(f"inputs has shape {tuple(ids.shape)}: expected (T, N) ids; one sequence is ids[:, None]")
        W = self.embedding.weight
        ids = tokens(ids, counts, len(W), W.device)
        x = self.embedding(ids)
        if rng is None or not self.token_dropout:
            return x
        dropped = below(self.token_dropout, (len(W), 1), rng, W.device)
        return torch.where(dropped[ids], 0, x * (1 / (1 - self.token_dropout)))

    def seeded(self, rng: Rng | None) -> Rng | None:
        """What the recurrent twin draws from. The fused kernel draws for itself: then as much is taken from a NumPy
        Generator as rnnlib's layer takes, so that what follows is dropped as there."""
        if self.rnn.form != "fused" or not isinstance(rng, np.random.Generator):
            return rng
        directions = 2 if self.rnn.bidirectional else 1
        seeds = rng.integers(MAX_SEED, size=(self.rnn.num_layers, 1 + 2 * directions))
        return np.random.default_rng(int(seeds[-1, 0]))


def placed(state: Any, like: torch.Tensor) -> State | None:
    """A state with the dtype and on the device of a parameter."""
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(as_tensor(part).to(like.device, like.dtype) for part in state)
    return as_tensor(state).to(like.device, like.dtype)
