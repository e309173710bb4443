"""The last part of every model: from hidden units to what is asked for, one linear layer."""

import torch

from rnnlib.models.readout import Readout
from rnnlib.torchref.models.dropping import drop
from rnnlib.torchref.noise import Rng


class TorchReadout(torch.nn.Module):
    """`rnnlib.models.readout.Readout` in torch.

    Args:
        readout: whose parameters it copies.
        tied: the embedding, where its weight is that.
    """

    def __init__(self, readout: Readout, tied: torch.nn.Parameter | None = None) -> None:
        super().__init__()
        self.dropout = readout.dropout
        self.weight = torch.nn.Parameter(torch.tensor(readout.weights["weight"])) if tied is None else tied
        self.bias = torch.nn.Parameter(torch.tensor(readout.weights["bias"]))

    def forward(self, h: torch.Tensor, rng: Rng | None = None) -> torch.Tensor:
        """h (..., H) gives y (..., outputs)."""
        # y = W h + b
        return torch.nn.functional.linear(drop(h, self.dropout, rng), self.weight, self.bias)
