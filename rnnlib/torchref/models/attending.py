"""The part of a decoder that looks back at the source; the equations are those of `rnnlib.attention`."""

import math
from typing import NamedTuple

import torch

from rnnlib.models.attending import Attending
from rnnlib.torchref.models.batch import Counts, valid_steps
from rnnlib.torchref.models.losses import wide


class Memory(NamedTuple):
    """What queries read, prepared once for all of them."""

    keys: torch.Tensor  # (N, Tk, D), additive: W_key k
    values: torch.Tensor  # (N, Tk, H), zero on padding
    valid: torch.Tensor | None  # (N, Tk), which keys hold data; None: all


class TorchAttending(torch.nn.Module):
    """`rnnlib.models.attending.Attending` in torch.

    Args:
        attending: whose parameters it copies.
    """

    def __init__(self, attending: Attending) -> None:
        super().__init__()
        self.kind = attending.kind
        for name, value in attending.parameters.items():
            part, _, own = name.partition(".")
            if part not in self._modules:
                self.add_module(part, torch.nn.ParameterDict())
            self.get_submodule(part)[own] = torch.nn.Parameter(torch.tensor(value))

    def remember(self, hs: torch.Tensor, counts: Counts) -> Memory:
        """What all queries will read, from an encoder's outputs (Tk, N, H), zero on padding."""
        values, valid = hs.swapaxes(0, 1), valid_steps(counts, hs)
        keys = values if self.kind == "dot" else torch.nn.functional.linear(values, self.key["weight"])
        return Memory(keys, values, None if valid is None else valid.T)

    def forward(self, queries: torch.Tensor, memory: Memory) -> torch.Tensor:
        """Queries (Tq, N, H) give a (Tq, N, H)."""
        q = queries.swapaxes(0, 1)
        if self.kind == "dot":
            # (1) e_tk = q_tᵀ k_k / √D
            scores = q @ memory.keys.swapaxes(1, 2) / math.sqrt(q.shape[2])
        else:
            # (1) e_tk = vᵀ tanh(W_query q_t + W_key k_k)
            asked = torch.nn.functional.linear(q, self.query["weight"])
            scores = torch.tanh(asked[:, :, None] + memory.keys[:, None]) @ self.score["weight"]
        # (2) w_t = softmax(e_t), (3) c_t = Σ_k w_tk v_k
        weights = softmax_where(scores, memory.valid).to(memory.values.dtype)
        context = (weights @ memory.values).swapaxes(0, 1)
        # a = tanh(W_combine [h; c] + b_combine)
        both = torch.cat([queries, context], dim=-1)
        return torch.tanh(torch.nn.functional.linear(both, self.combine["weight"], self.combine["bias"]))


def softmax_where(scores: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
    """Equation (2) for scores (N, Tq, Tk) and valid keys (N, Tk), None: all."""
    scores = wide(scores)
    if valid is None:
        return scores.softmax(dim=-1)
    # The lowest number and not -∞, which makes 0/0 of a sequence without keys: that then reads the padding's zeros.
    least = torch.finfo(scores.dtype).min
    return torch.where(valid[:, None], scores, least).softmax(dim=-1)
