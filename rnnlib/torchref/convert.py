"""Weights across the border: the same names, layout and gate order on both sides, so nothing has to be rearranged."""

from typing import Any

import torch

from rnnlib import recurrent
from rnnlib.recurrent.stack import Stack
from rnnlib.torchref.modules import options_of, torch_dtype
from rnnlib.torchref.run import Unsupported, kind_of, refuse_what_torch_lacks


def to_torch(layer: Stack, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> torch.nn.RNNBase:
    """A plain torch.nn module with copies of the layer's weights; what is dropped between layers comes along.

    Args:
        layer: an RNN, GRU or LSTM of `rnnlib.recurrent`.
        device: where the module lives.
        dtype: its precision; None: the layer's.

    Raises:
        Unsupported: the layer does what torch's modules do not; `twin` makes a module that does.
    """
    refuse_what_torch_lacks(layer)
    module = getattr(torch.nn, kind_of(layer))(
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        bidirectional=layer.bidirectional,
        dropout=layer.dropout,
        **layer.cell_options(),
    )
    module.to(device=device, dtype=dtype or torch_dtype(layer.dtype))
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.parameters.items()})
    return module


def from_torch(module: torch.nn.RNNBase) -> Any:
    """An RNN, GRU or LSTM of `rnnlib.recurrent` with copies of the weights of a torch module, or of a twin.

    The layer has the module's precision; one that NumPy does not know, such as bfloat16, becomes float32.

    Raises:
        Unsupported: the module does what the layer does not: no biases, projections, or batch first.
    """
    for option, wanted in (("bias", True), ("batch_first", False), ("proj_size", 0)):
        value = getattr(module, option)
        if value != wanted:
            raise Unsupported(f"the module has {option}={value}: rnnlib.recurrent only knows {option}={wanted}")
    dtype = module.weight_ih_l0.dtype
    wide = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    weights = {name: value.detach().cpu().to(wide).numpy().copy() for name, value in module.named_parameters()}
    layer = getattr(recurrent, kind_of(module))(
        module.input_size,
        module.hidden_size,
        module.num_layers,
        dtype=weights["weight_ih_l0"].dtype,
        **options_of(module),
    )
    layer.parameters = {name: weights[name] for name in layer.parameters}
    return layer
