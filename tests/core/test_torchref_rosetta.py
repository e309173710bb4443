"""Every row of the Rosetta table is held beside what the framework does; nothing here uses the converters."""

import itertools
import os
import tempfile

import numpy as np
import pytest

os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # Keras reads and writes its settings there when imported
os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
torchref = pytest.importorskip("rnnlib.torchref")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras under NumPy 2

T, N, D, H = 4, 2, 3, 5
GATES = {"RNN": "h", "GRU": "rzn", "LSTM": "ifgo"}
ROWS = {(row.framework, row.cell): row for row in torchref.rosetta()}


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def first_step(cell, order, reset, x, h, c, W, R, b_i, b_h):
    """h after one step, written from the equations, with the blocks of rows in a given order."""
    W, R, b_i, b_h = (dict(zip(order, np.split(w, len(order)), strict=True)) for w in (W, R, b_i, b_h))
    a = {gate: x @ W[gate].T + b_i[gate] for gate in order}
    q = {gate: h @ R[gate].T + b_h[gate] for gate in order}
    if cell == "RNN":
        return np.tanh(a["h"] + q["h"])
    if cell == "LSTM":
        i, f, o = (sigmoid(a[gate] + q[gate]) for gate in "ifo")
        return o * np.tanh(f * c + i * np.tanh(a["g"] + q["g"]))
    r, z = sigmoid(a["r"] + q["r"]), sigmoid(a["z"] + q["z"])
    n = np.tanh(a["n"] + (r * q["n"] if reset == "after" else (r * h) @ R["n"].T + b_h["n"]))
    return (1 - z) * n + z * h


class Framework:
    """Random weights in rows (G*H, ...), in the framework's own order; runs x with lengths and initial states of one
    half, and gives the output (T, N, H) and the last h (N, H)."""

    resets = ("after",)

    def __init__(self, cell):
        self.cell, G = cell, len(GATES[cell])
        self.weights = [0.5 * draw(G * H, D), 0.5 * draw(G * H, H), draw(G * H), draw(G * H + 1)[1:]]
        self.states = [np.full((1, N, H), 0.5, np.float32)] * (2 if cell == "LSTM" else 1)
        self.x = draw(T, N, D)

    def lay(self, lengths):
        return self.run(self.x, lengths, self.resets[0])


class Rnnlib(Framework):
    name, resets = "rnnlib", ("after", "before")

    def run(self, x, lengths, reset):
        from rnnlib import recurrent

        options = {"reset": reset} if self.cell == "GRU" else {}
        layer = getattr(recurrent, self.cell)(D, H, dtype=np.float32, rng=0, **options)
        self.default = getattr(layer, "reset", None) if not options else recurrent.GRU(1, 1).reset
        self.shapes = {"weights": [(name, w.shape) for name, w in layer.parameters.items()]}
        layer.parameters = dict(zip(layer.parameters, self.weights, strict=True))
        output, last, _ = layer.forward(x, layer.joined(self.states), lengths)
        return output, (last[0] if self.cell == "LSTM" else last)[0]


class TorchNn(Framework):
    name = "torch.nn"

    def run(self, x, lengths, reset):
        module = getattr(torch.nn, self.cell)(D, H)
        self.shapes = {"weights": [(name, tuple(w.shape)) for name, w in module.named_parameters()]}
        names = [name for name, _ in self.shapes["weights"]]
        module.load_state_dict(dict(zip(names, map(torch.from_numpy, self.weights), strict=True)))
        states = tuple(map(torch.from_numpy, self.states))
        packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), lengths, enforce_sorted=False)
        output, last = module(packed, states if len(states) == 2 else states[0])
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=len(x))
        return output.detach().numpy(), (last[0] if self.cell == "LSTM" else last)[0].detach().numpy()


class Keras(Framework):
    name, resets = "Keras 3", ("after", "before")
    both = False

    def run(self, x, lengths, reset):
        keras = pytest.importorskip("keras")
        make = getattr(keras.layers, ROWS["Keras 3", self.cell].called)
        options = {"reset_after": reset == "after"} if self.cell == "GRU" else {}
        layer = make(H, return_sequences=True, return_state=True, dtype="float32", **options)
        layer.build((None, None, D))
        self.default = "after" if self.cell == "GRU" and keras.layers.GRU(1).reset_after else "before"
        self.shapes = {"weights": [(w.name, tuple(w.shape)) for w in layer.weights]}
        W, R, b_i, b_h = self.weights
        if layer.weights[2].ndim == 1:
            self.weights[3] = b_h = np.zeros_like(b_h)
        layer.set_weights([W.T, R.T, b_i if layer.weights[2].ndim == 1 else np.stack([b_i, b_h])])
        mask = torch.arange(len(x))[None] < torch.tensor(lengths)[:, None]
        batch_first, states = torch.from_numpy(x.swapaxes(0, 1).copy()), [torch.from_numpy(s[0]) for s in self.states]
        if self.both:
            layer = keras.layers.Bidirectional(layer)
            return layer(batch_first, mask=mask)[0].detach().numpy().swapaxes(0, 1), None
        output, h, *_ = layer(batch_first, initial_state=states, mask=mask)
        return output.detach().numpy().swapaxes(0, 1), h.detach().numpy()


class Onnx(Framework):
    name, resets = "ONNX", ("before", "after")

    def run(self, x, lengths, reset):
        onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
        make, info = onnx.helper, onnx.helper.make_tensor_value_info
        W, R, b_i, b_h = self.weights
        arrays = {"W": W[None], "R": R[None], "B": np.concatenate([b_i, b_h])[None], "h0": self.states[0]}
        arrays |= {"c0": self.states[0]} if self.cell == "LSTM" else {}
        self.shapes = {"weights": [(name, arrays[name].shape) for name in "WRB"]}
        attributes = {"linear_before_reset": 1} if reset == "after" and self.cell == "GRU" else {}
        self.default = "before"  # the attribute is left out for it
        given = ["x", "W", "R", "B", "lengths", *list(arrays)[3:]]
        node = make.make_node(self.cell, given, ["y", "h"], hidden_size=H, **attributes)
        inputs = [info("x", 1, [T, N, D]), info("lengths", onnx.TensorProto.INT32, [N])]
        outputs = [info("y", 1, [T, 1, N, H]), info("h", 1, [1, N, H])]
        stored = [onnx.numpy_helper.from_array(value, name) for name, value in arrays.items()]
        graph = make.make_graph([node], "one", inputs, outputs, stored)
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        y, h = session.run(None, {"x": x, "lengths": np.array(lengths, np.int32)})
        return y[:, 0], h[0]


FRAMEWORKS = [Rnnlib, TorchNn, Keras, Onnx]
every_row = pytest.mark.parametrize(("framework", "cell"), list(itertools.product(FRAMEWORKS, GATES)))


def test_the_table_has_one_row_for_each_framework_and_cell():
    assert list(ROWS) == [(framework.name, cell) for cell in GATES for framework in FRAMEWORKS]
    text = torchref.rosetta_markdown().splitlines()
    assert len(text) == 2 + len(ROWS)
    assert len({line.count("|") for line in text}) == 1
    assert "| Keras 3 | LSTM | LSTM | ifgo | ifco |" in "\n".join(text)


@every_row
def test_of_all_orders_of_gates_only_the_tables_gives_the_frameworks_numbers(framework, cell):
    row = ROWS[framework.name, cell]
    for reset in framework.resets if cell == "GRU" else [""]:
        found = framework(cell)
        output, _ = found.run(found.x, [T, T], reset)
        half = found.states[0][0]
        fits = [
            ("".join(order), where)
            for order in itertools.permutations(GATES[cell])
            for where in (["after", "before"] if cell == "GRU" else [""])
            if np.allclose(output[0], first_step(cell, order, where, found.x[0], half, half, *found.weights), atol=1e-5)
        ]
        assert fits == [(row.gates, reset)]
        if reset:
            assert reset in row.reset
    if cell == "GRU" and framework is not TorchNn:
        assert f"{found.default} (default)" in row.reset
    if framework is TorchNn:
        assert "before" not in row.reset


@every_row
def test_weights_and_biases_have_the_tables_shapes(framework, cell):
    row, sizes = ROWS[framework.name, cell], {"G": len(GATES[cell]), "H": H, "D": D, "directions": 1}
    for reset in framework.resets if cell == "GRU" else [""]:
        found = framework(cell)
        found.run(found.x, [T, T], reset)
        own = [shape for _, shape in found.shapes["weights"]]
        assert own[:2] == list(eval(row.weights, {}, sizes))
        biases = row.biases
        if "; " in biases:
            biases = dict(part.split(": ") for part in biases.split("; "))[reset]
        shape = eval(biases[biases.index("(") : biases.index(")") + 1], {}, sizes)
        assert own[2:] == [shape] * (2 if "each" in biases else 1)
        total = sum(int(np.prod(shape)) for shape in own[2:])
        assert total == (2 if biases.startswith("two") else 1) * sizes["G"] * H


@every_row
def test_padding_and_empty_sequences_are_treated_as_the_table_says(framework, cell):
    row, found = ROWS[framework.name, cell], framework(cell)
    output, last = found.lay([T, 2])
    valid = output[:2, 1]
    assert np.allclose(last[1], valid[-1], rtol=0, atol=1e-6)
    padded = "zero" if not output[2:, 1].any() else "the last output" if (output[2:, 1] == valid[-1]).all() else "else"
    assert row.padding.startswith(padded)
    if framework is Keras:
        both = framework(cell)
        both.both = True
        output, _ = both.lay([T, 2])
        assert output[:2, 1].all()
        assert not output[2:, 1].any()
        assert row.padding.endswith("in a Bidirectional, zero")
    if row.empty == "refused":
        with pytest.raises(RuntimeError, match="greater than 0"):
            found.lay([T, 0])
    else:
        _, last = found.lay([T, 0])
        assert np.array_equal(last[1], np.full(H, {"zero": 0, "the initial one": 0.5}[row.empty], np.float32))


@every_row
def test_batches_lie_as_the_table_says(framework, cell):
    data = ROWS[framework.name, cell].data
    found = framework(cell)
    first, _ = found.lay([T, T])
    found.x = found.x.copy()
    found.x[-1] += 1
    second, _ = found.lay([T, T])
    assert np.array_equal(first[:-1], second[:-1])  # the first axis of what `run` is given is time
    assert not np.allclose(first[-1], second[-1])
    assert data.startswith("(N, T, D)" if framework is Keras else "(T, N, D)")
