"""Weights across the border: the same names, layout and gate order on both sides, so nothing has to be rearranged."""

from typing import Any

import numpy as np
import torch

from rnnlib import recurrent
from rnnlib.recurrent.stack import Stack

MODULES = {"RNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


def to_torch(layer: Stack, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> torch.nn.RNNBase:
    """A torch module with copies of the layer's weights; what is dropped between layers comes along.

    Args:
        layer: an RNN, GRU or LSTM of `rnnlib.recurrent`.
        device: where the module lives.
        dtype: its precision; None: the layer's.

    Raises:
        ValueError: the layer does what torch's modules do not.
    """
    kind = next(base.__name__ for base in type(layer).__mro__ if base.__name__ in MODULES)
    for option, value in (
        ("layer_norm", layer.layer_norm),
        ("variational_dropout", layer.variational_dropout),
        ("zoneout", any(layer.zoneout)),
        ("reset", getattr(layer, "reset", "after") == "before"),
    ):
        if value:
            raise ValueError(f"the layer has {option}={getattr(layer, option)!r}: torch.nn.{kind} has no equivalent")
    module = MODULES[kind](
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        bidirectional=layer.bidirectional,
        dropout=layer.dropout,
        **layer.cell_options(),
    )
    module.to(device=device, dtype=dtype or torch.from_numpy(np.empty(0, layer.dtype)).dtype)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.parameters.items()})
    return module


def from_torch(module: torch.nn.RNNBase) -> Any:
    """An RNN, GRU or LSTM of `rnnlib.recurrent` with copies of the module's weights, in the module's precision.

    Raises:
        ValueError: the module does what the layer does not: no biases, projections, or batch first.
    """
    for option, wanted in (("bias", True), ("batch_first", False), ("proj_size", 0)):
        value = getattr(module, option)
        if value != wanted:
            raise ValueError(f"the module has {option}={value}: rnnlib.recurrent only knows {option}={wanted}")
    weights = {name: value.detach().cpu().numpy().copy() for name, value in module.named_parameters()}
    kind = next(name for name, base in MODULES.items() if isinstance(module, base))
    options = {"nonlinearity": module.nonlinearity} if kind == "RNN" else {}
    layer = getattr(recurrent, kind)(
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bidirectional=module.bidirectional,
        dropout=module.dropout,
        dtype=weights["weight_ih_l0"].dtype,
        **options,
    )
    layer.parameters = {name: weights[name] for name in layer.parameters}
    return layer
