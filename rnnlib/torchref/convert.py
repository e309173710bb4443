"""Weights across the border: the same names, layout and gate order on both sides, so nothing has to be rearranged."""

import numpy as np
import torch

from rnnlib.recurrent import RNN


def to_torch(layer: RNN, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> torch.nn.RNN:
    """A torch module with copies of the layer's weights.

    Args:
        layer: from `rnnlib.recurrent`.
        device: where the module lives.
        dtype: its precision; None: the layer's.
    """
    module = torch.nn.RNN(
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        nonlinearity=layer.nonlinearity,
        bidirectional=layer.bidirectional,
    )
    module.to(device=device, dtype=dtype or torch.from_numpy(np.empty(0, layer.dtype)).dtype)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in layer.parameters.items()})
    return module


def from_torch(module: torch.nn.RNN) -> RNN:
    """A layer with copies of the module's weights, in the module's precision.

    Raises:
        ValueError: the module does what the layer does not: no biases, dropout between layers, or batch first.
    """
    for option, value, wanted in (
        ("bias", module.bias, True),
        ("dropout", module.dropout, 0),
        ("batch_first", module.batch_first, False),
    ):
        if value != wanted:
            raise ValueError(f"the module has {option}={value}: rnnlib.recurrent.RNN only knows {option}={wanted}")
    weights = {name: value.detach().cpu().numpy().copy() for name, value in module.named_parameters()}
    layer = RNN(
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bidirectional=module.bidirectional,
        nonlinearity=module.nonlinearity,
        dtype=weights["weight_ih_l0"].dtype,
    )
    layer.parameters = {name: weights[name] for name in layer.parameters}
    return layer
