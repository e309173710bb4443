"""Weights to ONNX and back, run by onnxruntime."""

import numpy as np
import pytest

from rnnlib.recurrent import GRU, LSTM, RNN

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
torchref = pytest.importorskip("rnnlib.torchref")

CELLS = [
    (RNN, {}),
    (RNN, {"nonlinearity": "relu"}),
    (GRU, {}),
    (GRU, {"reset": "before"}),
    (LSTM, {}),
]
STACKS = [(1, False), (1, True), (3, False), (2, True)]


def make(kind, K=1, bidirectional=False, dtype=np.float64, **options):
    return kind(3, 4, K, bidirectional=bidirectional, rng=0, dtype=dtype, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lengths", [None, [7, 1, 3, 5]])
@pytest.mark.parametrize(("K", "bidirectional"), STACKS)
@pytest.mark.parametrize(("kind", "options"), CELLS)
def test_onnxruntime_gives_the_same_outputs_and_states(kind, options, K, bidirectional, lengths, dtype):
    layer, rng = make(kind, K, bidirectional, dtype, **options), np.random.default_rng(0)
    x = rng.standard_normal((7, 4, 3)).astype(dtype)
    states = [rng.standard_normal((K * layer.directions, 4, 4)).astype(dtype) for _ in layer.state_names]
    if lengths is not None:
        x[np.arange(7)[:, None] >= lengths] = np.nan
    report = torchref.parity(layer, x, layer.joined(states), lengths, ways=["onnx"])
    assert report.differences["onnx"].keys() == {"output", *(f"{name}_n" for name in layer.state_names)}
    assert report.worst <= 2e-6, str(report)
    assert "onnx: float32" in str(report)


def test_without_states_a_model_starts_from_zero():
    layer, x = make(LSTM, 2, dtype=np.float32), np.ones((5, 2, 3), np.float32)
    output, (h_n, _) = torchref.run_onnx(torchref.to_onnx(layer), x)
    expected, (expected_h, _), _ = layer.forward(x)
    assert np.allclose(output, expected, rtol=0, atol=1e-6)
    assert np.allclose(h_n, expected_h, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("K", "bidirectional"), STACKS)
@pytest.mark.parametrize(("kind", "options"), CELLS)
def test_weights_survive_the_round_trip(kind, options, K, bidirectional):
    layer = make(kind, K, bidirectional, **options)
    back = torchref.from_onnx(torchref.to_onnx(layer))
    assert type(back) is kind
    assert back.parameters.keys() == layer.parameters.keys()
    assert all(np.array_equal(back.parameters[name], value) for name, value in layer.parameters.items())
    assert {k: v for k, v in vars(back).items() if k != "parameters"} == {
        k: v for k, v in vars(layer).items() if k != "parameters"
    }


def test_a_converted_layer_can_be_trained_on():
    back = torchref.from_onnx(torchref.to_onnx(make(GRU)))
    back.parameters["weight_ih_l0"] += 1  # what an optimiser does: ONNX's own arrays are read-only


@pytest.mark.parametrize("option", [{"layer_norm": True}, {"zoneout": 0.1}])
def test_a_layer_with_options_onnx_lacks_is_refused(option):
    with pytest.raises(torchref.Unsupported, match=f"the layer has {next(iter(option))}=.*no equivalent"):
        torchref.to_onnx(make(LSTM, **option))


def changed(kind, **attributes):
    model = torchref.to_onnx(make(kind, dtype=np.float32))
    node = next(node for node in model.graph.node if node.op_type in ("RNN", "GRU", "LSTM"))
    kept = [item for item in node.attribute if item.name not in attributes]
    del node.attribute[:]
    node.attribute.extend([*kept, *(onnx.helper.make_attribute(name, value) for name, value in attributes.items())])
    return model, node


@pytest.mark.parametrize(
    ("kind", "attributes", "says"),
    [
        (GRU, {"direction": "reverse"}, "direction='reverse'"),
        (LSTM, {"layout": 1}, "layout=1"),
        (LSTM, {"input_forget": 1}, "input_forget=1"),
        (RNN, {"clip": 1.0}, "clip=1.0"),
        (RNN, {"activations": ["Sigmoid"]}, r"activations=\['Sigmoid'\]"),
        (GRU, {"activations": ["HardSigmoid", "Tanh"]}, "HardSigmoid"),
    ],
)
def test_a_node_that_rnnlib_lacks_is_refused(kind, attributes, says):
    with pytest.raises(torchref.Unsupported, match=says):
        torchref.from_onnx(changed(kind, **attributes)[0])


def test_peepholes_computed_weights_and_models_without_a_node_are_refused():
    model, node = changed(LSTM)
    node.input.append("P")
    with pytest.raises(torchref.Unsupported, match="peepholes"):
        torchref.from_onnx(model)
    model, node = changed(LSTM)
    node.input[1] = "computed"
    with pytest.raises(torchref.Unsupported, match="the weights computed are computed in the model"):
        torchref.from_onnx(model)
    with pytest.raises(torchref.Unsupported, match="no RNN, GRU or LSTM node"):
        torchref.from_onnx(onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], [])))


def test_a_node_without_biases_and_a_gru_without_its_attribute_mean_what_onnx_says():
    model, node = changed(GRU)
    node.input[3] = ""
    kept = [item for item in node.attribute if item.name != "linear_before_reset"]
    del node.attribute[:]
    node.attribute.extend(kept)
    layer = torchref.from_onnx(model)
    assert layer.reset == "before"
    assert not layer.parameters["bias_ih_l0"].any()
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    output, _ = torchref.run_onnx(model, x)
    assert np.allclose(output, layer.forward(x)[0], rtol=0, atol=1e-6)


def test_a_length_of_zero_is_refused_because_the_runtime_forgets_the_initial_state():
    layer, x, h0 = make(GRU, dtype=np.float32), np.ones((4, 2, 3), np.float32), np.ones((1, 2, 4), np.float32)
    model = torchref.to_onnx(layer)
    with pytest.raises(torchref.Unsupported, match="last state of zero"):
        torchref.run_onnx(model, x, h0, [4, 0])
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    _, h_n = session.run(None, {"x": x, "lengths": np.array([4, 0], np.int32), "h0": h0})
    assert not h_n[0, 1].any()
