"""The same networks in torch, on any device and in any precision: the tests' oracle, and a yardstick for learners.

Everything runs over an ordinary `torch.nn.RNN`, which owns the weights, through one interface,
`(module, x, h0=None, lengths=None) -> (output, h_n)`:

    rnn_loop     the recurrence written out in tensor operations; autograd does the backward pass
    rnn_fused    the module's own kernel (cuDNN on a GPU), packed where there are lengths

`to_torch` and `from_torch` carry weights over; `parity` puts rnnlib, the loop and the fused kernel side by side.
Nothing in the rest of rnnlib imports this room.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError('rnnlib.torchref needs torch: pip install "rnn-notebooks[torch]"') from error

from rnnlib.torchref.convert import from_torch, to_torch
from rnnlib.torchref.parity import ParityReport, parity
from rnnlib.torchref.run import rnn_fused, rnn_loop

__all__ = ["ParityReport", "from_torch", "parity", "rnn_fused", "rnn_loop", "to_torch"]
