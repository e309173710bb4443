"""Recurrent layers across the border to ONNX: one RNN, GRU or LSTM node for each layer, run by onnxruntime.

ONNX writes an LSTM's gates i, o, f, c and a GRU's z, r, h, keeps a leading axis for the directions, and puts both
biases into one array. A GRU resets before the recurrent product unless linear_before_reset is 1.
"""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnnlib import recurrent
from rnnlib.cells.sequences import check_lengths
from rnnlib.recurrent.stack import Stack, State
from rnnlib.torchref.keras_layers import TORCH_GATES, reorder
from rnnlib.torchref.run import Unsupported, kind_of

GATES = {"RNN": "h", "GRU": "zrn", "LSTM": "iofg"}  # ONNX writes h for n, c for g
OPSET, IR_VERSION = 17, 8


def import_onnx(name: str = "onnx") -> ModuleType:
    """onnx or onnxruntime.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f'ONNX models need {name}: pip install "rnn-notebooks[onnx]" ({error})') from error


def to_onnx(layer: Stack) -> Any:
    """An ONNX model of the layer, in evaluation: what is dropped in training is left out.

    Inputs: x (T, N, D), lengths (N,) int32, h0 and, for an LSTM, c0 (K * directions, N, H). Outputs: output
    (T, N, H * directions), h_n and c_n, by rnnlib's conventions.

    Raises:
        ImportError: onnx is not installed.
        Unsupported: the layer does what ONNX's operators do not.
    """
    for option, used in (("layer_norm", layer.layer_norm), ("zoneout", any(layer.zoneout))):
        if used:
            raise Unsupported(f"the layer has {option}={getattr(layer, option)!r}: ONNX's operators have no equivalent")
    onnx, kind = import_onnx(), kind_of(layer)
    make, K, H, directions = onnx.helper, layer.num_layers, layer.hidden_size, layer.directions
    names = layer.state_names
    constants = {"width": np.array([0, 0, H * directions]), "each": np.array([directions] * K)}
    nodes = [make.make_node("Split", [f"{name}0", "each"], [f"{name}0_l{k}" for k in range(K)]) for name in names]
    options: dict[str, Any] = {"hidden_size": H, "direction": "bidirectional" if layer.bidirectional else "forward"}
    if kind == "RNN":
        options["activations"] = [layer.cell_options()["nonlinearity"].capitalize()] * directions
    if kind == "GRU":
        options["linear_before_reset"] = int(getattr(layer, "reset", "after") == "after")
    for k in range(K):
        sweeps = range(k * directions, (k + 1) * directions)
        weights = [to_onnx_weights(kind, [layer.parameters[name] for name in layer.names(s)[:4]]) for s in sweeps]
        constants |= {f"{name}_l{k}": np.stack(w) for name, w in zip("WRB", zip(*weights, strict=True), strict=True)}
        source, target = ("x" if k == 0 else f"output_l{k - 1}"), ("output" if k == K - 1 else f"output_l{k}")
        given = [source, f"W_l{k}", f"R_l{k}", f"B_l{k}", "lengths", *(f"{name}0_l{k}" for name in names)]
        nodes.append(make.make_node(kind, given, [f"Y_l{k}", *(f"{name}_n_l{k}" for name in names)], **options))
        # (T, directions, N, H) -> (T, N, H * directions)
        nodes.append(make.make_node("Transpose", [f"Y_l{k}"], [f"apart_l{k}"], perm=[0, 2, 1, 3]))
        nodes.append(make.make_node("Reshape", [f"apart_l{k}", "width"], [target]))
    nodes += [make.make_node("Concat", [f"{n}_n_l{k}" for k in range(K)], [f"{n}_n"], axis=0) for n in names]
    element, info = make.np_dtype_to_tensor_dtype(layer.dtype), make.make_tensor_value_info
    state, counted = [K * directions, "N", H], make.np_dtype_to_tensor_dtype(np.dtype(np.int32))
    inputs = [info("x", element, ["T", "N", layer.input_size]), info("lengths", counted, ["N"])]
    inputs += [info(f"{name}0", element, state) for name in names]
    outputs = [info("output", element, ["T", "N", H * directions]), *(info(f"{n}_n", element, state) for n in names)]
    arrays = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = make.make_graph(nodes, f"rnnlib.{kind}", inputs, outputs, arrays)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def from_onnx(model: Any) -> Any:
    """An RNN, GRU or LSTM of `rnnlib.recurrent` with copies of the weights of a model's RNN, GRU or LSTM nodes.

    Nodes are taken in their order, as the layers of one stack; what stands around them is not looked at. Where a
    node has no biases they are zero.

    Raises:
        ImportError: onnx is not installed.
        Unsupported: there is no such node, they are of several kinds, or one does what rnnlib's layers do not.
    """
    onnx = import_onnx()
    constants = {array.name: onnx.numpy_helper.to_array(array) for array in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in GATES]
    if not nodes:
        raise Unsupported("the model has no RNN, GRU or LSTM node")
    described = [describe(onnx, node) for node in nodes]
    for k, other in enumerate(described):
        if other != described[0]:
            raise Unsupported(f"node {k} is {other}, and node 0 {described[0]}: rnnlib stacks layers of one kind")
    kind, options = described[0]
    stacked = []
    for node in nodes:
        missing = [name for name in node.input[1:4] if name and name not in constants]
        if missing:
            raise Unsupported(f"the weights {missing[0]} are computed in the model: rnnlib reads stored ones only")
        W, R = constants[node.input[1]], constants[node.input[2]]
        stored = len(node.input) > 3 and node.input[3]
        stacked.append((W, R, constants[node.input[3]] if stored else np.zeros((len(W), 2 * W.shape[1]), W.dtype)))
    W, R, _ = stacked[0]
    layer = getattr(recurrent, kind)(W.shape[2], R.shape[2], len(nodes), dtype=W.dtype, **options)
    for k, arrays in enumerate(stacked):
        for direction in range(layer.directions):
            own = from_onnx_weights(kind, [array[direction] for array in arrays])
            layer.parameters |= zip(layer.names(k * layer.directions + direction), own, strict=True)
    return layer


def describe(onnx: ModuleType, node: Any) -> tuple[str, dict[str, Any]]:
    """The kind and options of one node.

    Raises:
        Unsupported: it does what rnnlib's layers do not.
    """
    kind = node.op_type
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    direction = attributes.get("direction", b"forward").decode()
    if direction == "reverse":
        raise Unsupported("the node has direction='reverse': rnnlib reads backwards only beside a forward reader")
    directions = 2 if direction == "bidirectional" else 1
    for option, neutral in (("layout", 0), ("input_forget", 0), ("clip", None)):
        if attributes.get(option, neutral) != neutral:
            raise Unsupported(f"the node has {option}={attributes[option]}: rnnlib.recurrent has no equivalent")
    if len(node.input) > 7 and node.input[7]:
        raise Unsupported("the node has peepholes (P): rnnlib's LSTM has none")
    usual = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[kind]
    activations = [name.decode() for name in attributes.get("activations", [])] or usual * directions
    options: dict[str, Any] = {"bidirectional": directions == 2}
    if kind == "RNN" and activations in (["Tanh"] * directions, ["Relu"] * directions):
        options["nonlinearity"] = activations[0].lower()
    elif activations != usual * directions:
        raise Unsupported(f"the node has activations={activations}: rnnlib.recurrent only knows {usual}")
    if kind == "GRU":
        options["reset"] = "after" if attributes.get("linear_before_reset", 0) else "before"
    return kind, options


def to_onnx_weights(kind: str, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """W_ih, W_hh, b_ih and b_hh of one sweep as ONNX's W (G*H, D), R (G*H, H) and B (2*G*H,)."""
    W_ih, W_hh, b_ih, b_hh = (reorder(w, TORCH_GATES[kind], GATES[kind]) for w in weights)
    return [W_ih, W_hh, np.concatenate([b_ih, b_hh])]


def from_onnx_weights(kind: str, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The inverse of `to_onnx_weights`."""
    W, R, B = arrays
    return [reorder(w, GATES[kind], TORCH_GATES[kind]) for w in (W, R, *np.split(B, 2))]


def run_onnx(
    model: Any, x: np.ndarray, state: State | None = None, lengths: ArrayLike | None = None
) -> tuple[np.ndarray, State]:
    """Run a model of `to_onnx` on onnxruntime's CPU provider; arguments and results as a layer's `forward`.

    onnxruntime has these operators in float32 only: a float64 model is rounded first, and so are its results.

    Raises:
        ImportError: onnxruntime is not installed.
        Unsupported: a length is 0.
        TypeError, ValueError: the lengths do not fit.
    """
    onnx, runtime = import_onnx(), import_onnx("onnxruntime")
    T, N, _ = x.shape
    counts = np.full(N, T) if lengths is None else check_lengths(lengths, T, N)
    if counts.min() < 1:
        raise Unsupported("a length is 0: onnxruntime gives a last state of zero for it, not the initial one")
    model = rounded(onnx, model)
    names = [value.name for value in model.graph.input][2:]
    rows = model.graph.input[2].type.tensor_type.shape.dim
    zeros = np.zeros((rows[0].dim_value, N, rows[2].dim_value), np.float32)
    states = [zeros] * len(names) if state is None else [state] if isinstance(state, np.ndarray) else list(state)
    feeds = {"x": x, **dict(zip(names, states, strict=True))}
    feeds = {name: value.astype(np.float32) for name, value in feeds.items()} | {"lengths": counts.astype(np.int32)}
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    output, *last = session.run(None, feeds)
    return output, last[0] if len(last) == 1 else tuple(last)


def rounded(onnx: ModuleType, model: Any) -> Any:
    """A copy of the model in float32."""
    copy, wide, narrow = type(model)(), onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
    copy.CopyFrom(model)
    for array in copy.graph.initializer:
        if array.data_type == wide:
            array.CopyFrom(
                onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(array).astype(np.float32), array.name)
            )
    for value in (*copy.graph.input, *copy.graph.output):
        if value.type.tensor_type.elem_type == wide:
            value.type.tensor_type.elem_type = narrow
    return copy
