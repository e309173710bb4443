"""The same networks in torch, on any device and in any precision: the tests' oracle, and a yardstick for learners.

`RNN`, `GRU` and `LSTM` are torch's modules with everything that rnnlib's layers do. They run, as an ordinary
`torch.nn.RNN`, `GRU` or `LSTM` does, through one interface, `(module, x, state=None, lengths=None, *, rng=None) ->
(output, state)`:

    loop        the recurrence written out in tensor operations; autograd does the backward pass
    compiled    the loop through torch.compile
    graph       the loop as a CUDA graph, on a GPU
    fused       torch's own kernel (cuDNN on a GPU), packed where there are lengths

`twin` carries a layer over with all its options; `to_torch`, `to_keras`, `to_onnx` and their inverses carry it to the
frameworks, which each lack some. `parity` puts all ways side by side, `rosetta` their conventions. Keras and ONNX are
imported when asked for. `rnnlib.torchref.models` carries whole models over, and `rnnlib.torchref.training` trains them
on a device.

Nothing in the rest of rnnlib imports this room.
"""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError('rnnlib.torchref needs torch: pip install "rnn-notebooks[torch]"') from error

from rnnlib.torchref.compiling import compiled
from rnnlib.torchref.convert import from_torch, to_torch
from rnnlib.torchref.keras_layers import from_keras, to_keras
from rnnlib.torchref.modules import GRU, LSTM, RNN, twin
from rnnlib.torchref.onnx_models import from_onnx, run_onnx, to_onnx
from rnnlib.torchref.parity import ParityReport, parity
from rnnlib.torchref.recording import graph
from rnnlib.torchref.rosetta import rosetta, rosetta_markdown
from rnnlib.torchref.run import Unsupported, fused, loop

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "ParityReport",
    "Unsupported",
    "compiled",
    "from_keras",
    "from_onnx",
    "from_torch",
    "fused",
    "graph",
    "loop",
    "parity",
    "rosetta",
    "rosetta_markdown",
    "run_onnx",
    "to_keras",
    "to_onnx",
    "to_torch",
    "twin",
]
