"""Weights to Keras 3 and back, on its torch backend: the same numbers, in float32 where Keras' products are."""

import os
import subprocess
import sys
import tempfile
import types

import numpy as np
import pytest

from rnnlib.recurrent import GRU, LSTM, RNN

os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # Keras reads and writes its settings there when imported
os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
torchref = pytest.importorskip("rnnlib.torchref")

from rnnlib.torchref import keras_layers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras under NumPy 2

CELLS = [
    (RNN, {}),
    (RNN, {"nonlinearity": "relu"}),
    (GRU, {}),
    (GRU, {"reset": "before"}),
    (LSTM, {}),
]
STACKS = [(1, False), (1, True), (3, False), (2, True)]


def problem(kind, options, K, bidirectional, lengths, dtype=np.float64):
    layer = kind(3, 4, K, bidirectional=bidirectional, rng=0, dtype=dtype, **options)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 4, 3)).astype(dtype)
    states = [rng.standard_normal((K * layer.directions, 4, 4)).astype(dtype) for _ in layer.state_names]
    if lengths is not None:
        x[np.arange(7)[:, None] >= lengths] = np.nan
    return layer, x, layer.joined(states), lengths


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lengths", [None, [7, 1, 3, 5], [7, 0, 3, 0]])
@pytest.mark.parametrize(("K", "bidirectional"), STACKS)
@pytest.mark.parametrize(("kind", "options"), CELLS)
def test_keras_gives_the_same_outputs_states_and_gradients(kind, options, K, bidirectional, lengths, dtype):
    case = problem(kind, options, K, bidirectional, lengths, dtype)
    report = torchref.parity(*case, ways=["keras"])
    assert report.differences["keras"].keys() >= {"output", "h_n", "dx", "dh0", *case[0].parameters}
    own_path = lengths is None and (kind is LSTM or (kind is GRU and not options)) and dtype == np.float64
    assert report.worst <= (1e-10 if own_path else 2e-6), str(report)


@pytest.mark.parametrize(("K", "bidirectional"), STACKS)
@pytest.mark.parametrize(("kind", "options"), CELLS)
def test_weights_survive_the_round_trip(kind, options, K, bidirectional):
    layer = problem(kind, {**options, "variational_dropout": 0 if options else 0.25}, K, bidirectional, None)[0]
    back = torchref.from_keras(torchref.to_keras(layer))
    assert type(back) is kind
    for name, value in layer.parameters.items():
        one_bias = name.startswith("bias") and not (kind is GRU and layer.reset == "after")
        if not one_bias:
            assert np.array_equal(back.parameters[name], value), name
    for sweep in range(K * layer.directions):
        *_, b_ih, b_hh = layer.names(sweep)
        assert np.allclose(
            back.parameters[b_ih] + back.parameters[b_hh], layer.parameters[b_ih] + layer.parameters[b_hh], rtol=1e-15
        )
    assert {k: v for k, v in vars(back).items() if k != "parameters"} == {
        k: v for k, v in vars(layer).items() if k != "parameters"
    }


def test_dropout_between_layers_comes_along_both_ways():
    layers = torchref.to_keras(GRU(3, 4, 3, dropout=0.25, rng=0))
    assert [type(layer).__name__ for layer in layers] == ["GRU", "Dropout", "GRU", "Dropout", "GRU"]
    assert torchref.from_keras(layers).dropout == 0.25
    with pytest.raises(torchref.Unsupported, match="between every two layers"):
        torchref.from_keras(layers[:-2] + layers[-1:])


def test_variational_dropout_means_the_same_in_keras():
    (layer,) = torchref.to_keras(RNN(5, 6, variational_dropout=0.5, dtype=np.float32, rng=0))
    # With recurrent weights of zero the output shows what was dropped of the inputs.
    layer.set_weights([np.eye(5, 6), np.zeros((6, 6)), np.zeros(6)])
    output, _ = layer(torch.ones(20, 8, 5), training=True)
    assert torch.equal(output, output[:, :1].expand_as(output))
    assert 0.3 < (output[:, 0, :5] == 0).double().mean().item() < 0.7


def test_a_models_own_layers_are_read_whatever_they_return():
    made = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True)),
            keras.layers.Bidirectional(keras.layers.LSTM(4)),
        ]
    )
    x = np.random.default_rng(0).standard_normal((6, 2, 3)).astype(np.float32)
    layer = torchref.from_keras(made)
    output, (h_n, _), _ = layer.forward(x)
    theirs = made(torch.from_numpy(x.swapaxes(0, 1))).detach().cpu().numpy()
    assert layer.dtype == np.float32
    assert np.allclose(theirs, np.concatenate([h_n[2], h_n[3]], axis=1), rtol=0, atol=1e-6)
    assert np.allclose(theirs[:, :4], output[-1, :, :4], rtol=0, atol=1e-6)


@pytest.mark.parametrize("option", [{"layer_norm": True}, {"zoneout": 0.1}])
def test_a_layer_with_options_keras_lacks_is_refused(option):
    with pytest.raises(torchref.Unsupported, match=f"the layer has {next(iter(option))}=.*no equivalent"):
        torchref.to_keras(LSTM(2, 3, **option))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda L: L.LSTM(3, use_bias=False), "use_bias=False"),
        (lambda L: L.LSTM(3, activation="relu"), "activation='relu'"),
        (lambda L: L.GRU(3, recurrent_activation="hard_sigmoid"), "recurrent_activation='hard_sigmoid'"),
        (lambda L: L.GRU(3, dropout=0.1), r"recurrent_dropout=0.0: rnnlib.recurrent only knows 0.1"),
        (lambda L: L.SimpleRNN(3, go_backwards=True), "go_backwards=True"),
        (lambda L: L.Bidirectional(L.GRU(3), merge_mode="sum"), "merge_mode='sum'"),
        (lambda L: L.Dense(3), "a Dense came"),
        (
            lambda L: L.Bidirectional(L.SimpleRNN(3), backward_layer=L.SimpleRNN(3, "relu", go_backwards=True)),
            "the two directions differ",
        ),
    ],
)
def test_a_keras_layer_that_rnnlib_lacks_is_refused(make, says):
    layer = make(keras.layers)
    layer.build((None, None, 2))
    with pytest.raises(torchref.Unsupported, match=says):
        torchref.from_keras(layer)


def test_layers_that_do_not_make_one_stack_are_refused():
    first, other = keras.layers.GRU(3), keras.layers.GRU(4)
    with pytest.raises(torchref.Unsupported, match="no weights yet"):
        torchref.from_keras(first)
    first.build((None, None, 2))
    other.build((None, None, 3))
    with pytest.raises(torchref.Unsupported, match="layers of one kind"):
        torchref.from_keras([first, other])


def run(code, **environment):
    clean = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True)
    return done.stdout.strip(), done.stderr


def test_importing_torchref_imports_neither_keras_nor_onnx_and_without_them_the_extra_is_named():
    out, errors = run(
        "import sys, rnnlib.torchref as t; from rnnlib.recurrent import RNN\n"
        "print([name for name in ('keras', 'onnx', 'onnxruntime') if name in sys.modules])\n"
        "sys.modules |= dict.fromkeys(['keras', 'onnx', 'onnxruntime'])\n"
        "for convert in (t.to_keras, t.to_onnx):\n"
        "    try: convert(RNN(2, 3))\n"
        "    except ImportError as error: print(error)\n"
    )
    assert out.splitlines()[:1] == ["[]"], errors
    assert 'pip install "rnn-notebooks[keras]"' in out
    assert 'pip install "rnn-notebooks[onnx]"' in out


@pytest.fixture
def fake_keras(monkeypatch):
    """A Keras that starts, as the real one does, on the backend that the environment names; none is imported yet."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND")

    def start(name):
        backend = os.environ["KERAS_BACKEND"]
        return types.SimpleNamespace(config=types.SimpleNamespace(backend=lambda: backend))

    monkeypatch.setattr(keras_layers.importlib, "import_module", start)


def test_torch_is_chosen_where_nobody_chose(fake_keras, monkeypatch):
    assert keras_layers.import_keras().config.backend() == "torch"
    assert os.environ["KERAS_BACKEND"] == "torch"
    monkeypatch.delenv("KERAS_BACKEND")


def test_another_backend_is_refused(fake_keras, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(torchref.Unsupported, match=r'Keras runs on jax here.*os.environ\["KERAS_BACKEND"\] = "torch"'):
        torchref.to_keras(RNN(2, 3))
