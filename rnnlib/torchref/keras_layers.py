"""Recurrent layers across the border to Keras 3, on its torch backend.

Keras transposes every matrix, writes a GRU's gates z, r, n, gives an LSTM and a SimpleRNN one bias, and wants
(N, T, D) with a mask. Its `dropout` and `recurrent_dropout` hold one mask for a whole sequence: variational dropout.
On this backend Keras multiplies float64 matrices in float32, but in GRU and LSTM layers without a mask.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch

from rnnlib import recurrent
from rnnlib.recurrent.stack import Stack
from rnnlib.torchref.run import Unsupported, kind_of

GATES = {"RNN": "h", "GRU": "zrn", "LSTM": "ifgo"}  # Keras writes h for n, c for g
TORCH_GATES = {"RNN": "h", "GRU": "rzn", "LSTM": "ifgo"}
LAYERS = {"RNN": "SimpleRNN", "GRU": "GRU", "LSTM": "LSTM"}


def import_keras() -> ModuleType:
    """Keras on the torch backend, which is chosen here if nobody has chosen yet.

    Raises:
        ImportError: Keras is not installed.
        Unsupported: another backend is active.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        keras = importlib.import_module("keras")
    except ImportError as error:
        raise ImportError(f'Keras layers need keras: pip install "rnn-notebooks[keras]" ({error})') from error
    backend = keras.config.backend()
    if backend != "torch":
        raise Unsupported(
            f"Keras runs on {backend} here, and its backend cannot change once it is imported: restart, and set "
            'os.environ["KERAS_BACKEND"] = "torch" before the first import of keras (or import rnnlib.torchref and '
            "convert first: it chooses torch itself)"
        )
    return keras


def to_keras(layer: Stack) -> list[Any]:
    """Keras layers with copies of the layer's weights, from the first to the last.

    Each is a SimpleRNN, GRU or LSTM, in a Bidirectional where the layer has two directions, and returns sequences and
    states; a Dropout stands between two where the layer drops. They are built, and want (N, T, D).
    Biases: Keras' SimpleRNN, LSTM and GRU(reset_after=False) have one, the sum of b_ih and b_hh.

    Raises:
        ImportError: Keras is not installed.
        Unsupported: the layer does what Keras does not, or Keras runs on another backend.
    """
    for option, used in (("layer_norm", layer.layer_norm), ("zoneout", any(layer.zoneout))):
        if used:
            raise Unsupported(f"the layer has {option}={getattr(layer, option)!r}: Keras' layers have no equivalent")
    keras, kind = import_keras(), kind_of(layer)
    options: dict[str, Any] = {"return_sequences": True, "return_state": True, "dtype": layer.dtype.name}
    options |= {"dropout": layer.variational_dropout, "recurrent_dropout": layer.variational_dropout}
    if kind == "RNN":
        options["activation"] = layer.cell_options()["nonlinearity"]
    if kind == "GRU":
        options["reset_after"] = getattr(layer, "reset", "after") == "after"
    layers: list[Any] = []
    for k in range(layer.num_layers):
        if k and layer.dropout:
            layers.append(keras.layers.Dropout(layer.dropout, dtype=layer.dtype.name))
        made = getattr(keras.layers, LAYERS[kind])(layer.hidden_size, **options)
        if layer.bidirectional:
            made = keras.layers.Bidirectional(made, dtype=layer.dtype.name)
        made.build((None, None, layer.input_size if k == 0 else layer.hidden_size * layer.directions))
        sweeps = [layer.names(k * layer.directions + direction) for direction in range(layer.directions)]
        weights = [[layer.parameters[name] for name in names] for names in sweeps]
        made.set_weights([w for sweep in weights for w in to_keras_weights(kind, sweep, one_bias(made))])
        layers.append(made)
    return layers


def from_keras(layers: Any) -> Any:
    """An RNN, GRU or LSTM of `rnnlib.recurrent` with copies of the weights of Keras layers.

    Args:
        layers: one recurrent layer, or several from the first to the last, with a Dropout between two or none, or a
            Sequential of them. What a Keras layer returns, and whether it zeroes its outputs in the padding, does not
            matter here; where Keras has one bias it becomes b_ih, and b_hh is zero.

    Raises:
        ImportError: Keras is not installed.
        Unsupported: Keras runs on another backend, or the layers do what rnnlib's do not; the message says what.
    """
    keras = import_keras()
    given = list(layers) if isinstance(layers, Sequence) else list(getattr(layers, "layers", [layers]))
    rates = {layer.rate for layer in given if isinstance(layer, keras.layers.Dropout)}
    stack = [layer for layer in given if not isinstance(layer, keras.layers.Dropout)]
    between = [isinstance(layer, keras.layers.Dropout) for layer in given]
    if len(rates) > 1 or (rates and between != ([False, True] * len(stack))[:-1]):
        raise Unsupported("rnnlib drops at one rate between every two layers: the Dropout layers stand otherwise")
    described = [describe(keras, layer) for layer in stack]
    kind, units, options = described[0]
    for k, other in enumerate(described):
        if other != described[0]:
            raise Unsupported(f"layer {k} is {other}, and layer 0 {described[0]}: rnnlib stacks layers of one kind")
    first = stack[0].get_weights()[0]
    layer = getattr(recurrent, kind)(
        len(first), units, len(stack), dropout=rates.pop() if rates else 0.0, dtype=first.dtype, **options
    )
    for k, made in enumerate(stack):
        arrays = made.get_weights()
        per_sweep = len(arrays) // layer.directions
        for direction in range(layer.directions):
            own = from_keras_weights(kind, arrays[direction * per_sweep : (direction + 1) * per_sweep])
            layer.parameters |= zip(layer.names(k * layer.directions + direction), own, strict=True)
    return layer


def describe(keras: ModuleType, layer: Any) -> tuple[str, int, dict[str, Any]]:
    """The kind, H and options of one Keras layer.

    Raises:
        Unsupported: it does what rnnlib's layers do not.
    """
    both = isinstance(layer, keras.layers.Bidirectional)
    if both and layer.merge_mode != "concat":
        raise Unsupported(f"the layer has merge_mode={layer.merge_mode!r}: rnnlib lays both directions side by side")
    cell = layer.forward_layer if both else layer
    kinds = {kind: getattr(keras.layers, name) for kind, name in LAYERS.items()}
    kind = next((kind for kind, base in kinds.items() if isinstance(cell, base)), None)
    if kind is None:
        raise Unsupported(f"a {type(cell).__name__} came: expected a SimpleRNN, GRU or LSTM, or a Bidirectional of one")
    if not layer.built:
        raise Unsupported("the layer has no weights yet: call it once, or layer.build((None, None, D))")
    if both and {**cell.get_config(), "name": 0, "go_backwards": 0} != {
        **layer.backward_layer.get_config(),
        "name": 0,
        "go_backwards": 0,
    }:
        raise Unsupported("the two directions differ: in rnnlib both are of one kind")
    config = cell.get_config()
    wanted = {"use_bias": True, "go_backwards": False, "stateful": False, "recurrent_activation": "sigmoid"}
    wanted |= {"activation": "tanh", "recurrent_dropout": config["dropout"]}
    for option, value in wanted.items():
        allowed = {"tanh", "relu"} if (kind, option) == ("RNN", "activation") else {value}
        if option in config and config[option] not in allowed:
            raise Unsupported(f"the layer has {option}={config[option]!r}: rnnlib.recurrent only knows {value!r}")
    options = {"bidirectional": both, "variational_dropout": config["dropout"]}
    if kind == "RNN":
        options["nonlinearity"] = config["activation"]
    if kind == "GRU":
        options["reset"] = "after" if config["reset_after"] else "before"
    return kind, config["units"], options


def one_bias(layer: Any) -> bool:
    """Whether a built Keras layer has one bias for each gate rather than two."""
    return layer.weights[2].ndim == 1


def to_keras_weights(kind: str, weights: Sequence[np.ndarray], one_bias: bool) -> list[np.ndarray]:
    """W_ih, W_hh, b_ih and b_hh as Keras' kernel (D, G*H), recurrent kernel (H, G*H) and bias (G*H,) or (2, G*H)."""
    W_ih, W_hh, b_ih, b_hh = (reorder(w, TORCH_GATES[kind], GATES[kind]) for w in weights)
    return [W_ih.T, W_hh.T, b_ih + b_hh if one_bias else np.stack([b_ih, b_hh])]


def from_keras_weights(kind: str, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The inverse of `to_keras_weights`; one bias becomes b_ih, and b_hh is zero."""
    kernel, recurrent_kernel, bias = arrays
    b_ih, b_hh = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return [reorder(w, GATES[kind], TORCH_GATES[kind]) for w in (kernel.T, recurrent_kernel.T, b_ih, b_hh)]


def reorder(w: np.ndarray, order: str, wanted: str) -> np.ndarray:
    """The blocks of rows of w, one for each gate, in another order; always a copy."""
    blocks = dict(zip(order, np.split(w, len(order)), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted])


def run_keras(
    layers: Sequence[Any], x: torch.Tensor, states: Sequence[torch.Tensor], lengths: Sequence[int] | None
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Run layers of `to_keras` by rnnlib's conventions.

    Args:
        layers: from `to_keras`.
        x: (T, N, D); padding may hold anything.
        states: h0, and for an LSTM c0, each (K * directions, N, H).
        lengths: (N,); None: every sequence has T steps.

    Returns:
        output: (T, N, H * directions), zero on padding; and the last states, in the form of the initial ones.
    """
    T, N, _ = x.shape
    valid = torch.ones(T, N, dtype=torch.bool, device=x.device)
    if lengths is not None:
        valid = torch.arange(T, device=x.device)[:, None] < torch.tensor(lengths, device=x.device)
    sequence = torch.where(valid[:, :, None], x, torch.zeros_like(x)).transpose(0, 1)
    mask = None if lengths is None else valid.T
    row, last = 0, list[torch.Tensor]()
    for layer in layers:
        if not hasattr(layer, "return_state"):  # a Dropout
            sequence = layer(sequence)
            continue
        sweeps = 2 if hasattr(layer, "forward_layer") else 1
        own = [state[r] for r in range(row, row + sweeps) for state in states]
        sequence, *ends = layer(sequence, initial_state=own, mask=mask)
        row, last = row + sweeps, [*last, *ends]
    output = torch.where(valid[:, :, None], sequence.transpose(0, 1), x.new_zeros(()))
    return output, [torch.stack(last[k :: len(states)]) for k in range(len(states))]


def differentiate(
    layer: Stack,
    x: np.ndarray,
    first: Sequence[np.ndarray],
    lengths: Sequence[int] | None,
    upstream: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Output, states and gradients of the layer in Keras, by rnnlib's names; where Keras has one bias, its gradient is
    that of b_ih and of b_hh."""
    layers, kind = to_keras(layer), kind_of(layer)
    stack = [made for made in layers if made.weights]
    variables = [weight for made in stack for weight in made.trainable_weights]
    device = variables[0].value.device
    inputs = [torch.from_numpy(a.copy()).to(device).requires_grad_() for a in (x, *first)]
    output, last = run_keras(layers, inputs[0], inputs[1:], lengths)
    wanted = [*inputs, *(variable.value for variable in variables)]
    d_outputs = [torch.from_numpy(a).to(device) for a in upstream]
    gradients = [g.cpu().numpy() for g in torch.autograd.grad((output, *last), wanted, d_outputs)]
    results = {"output": output, **dict(zip(("h_n", "c_n"), last, strict=False))}
    named = {name: tensor.detach().cpu().numpy() for name, tensor in results.items()}
    named |= zip(("dx", "dh0", "dc0"), gradients[: len(inputs)], strict=False)
    for sweep in range(layer.num_layers * layer.directions):
        start = len(inputs) + 3 * sweep
        own = from_keras_weights(kind, gradients[start : start + 3])
        named |= zip(layer.names(sweep), [*own[:3], own[2]] if one_bias(stack[0]) else own, strict=True)
    return named
