"""The same networks in torch, on any device and in any precision: the tests' oracle, and a yardstick for learners.

Everything runs over an ordinary `torch.nn.RNN`, `GRU` or `LSTM`, which owns the weights, through one interface,
`(module, x, state=None, lengths=None) -> (output, state)`:

    loop     the recurrence written out in tensor operations; autograd does the backward pass
    fused    the module's own kernel (cuDNN on a GPU), packed where there are lengths

`to_torch` and `from_torch` carry weights over; `parity` puts rnnlib, the loop and the fused kernel side by side.
Nothing in the rest of rnnlib imports this room.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError('rnnlib.torchref needs torch: pip install "rnn-notebooks[torch]"') from error

from rnnlib.torchref.convert import from_torch, to_torch
from rnnlib.torchref.parity import ParityReport, parity
from rnnlib.torchref.run import fused, loop

__all__ = ["ParityReport", "from_torch", "fused", "loop", "parity", "to_torch"]
