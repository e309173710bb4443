"""rnnlib against torch in float64: the explicit loop under autograd, and the fused kernel where it can run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.recurrent import GRU, LSTM, RNN

torch = pytest.importorskip("torch")
torchref = pytest.importorskip("rnnlib.torchref")

STEADY = settings(deadline=None, max_examples=60, derandomize=True)


@st.composite
def problems(draw, shortest=0):
    T, N, D, H, K = (draw(st.integers(1, most)) for most in (12, 5, 4, 6, 3))
    kind, options = draw(st.sampled_from([(RNN, {}), (RNN, {"nonlinearity": "relu"}), (GRU, {}), (LSTM, {})]))
    layer = kind(D, H, K, bidirectional=draw(st.booleans()), rng=draw(st.integers(0, 999)), **options)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = rng.standard_normal((T, N, D))
    states = tuple(rng.standard_normal((K * layer.directions, N, H)) for _ in layer.state_names)
    state = draw(st.sampled_from([None, states if kind is LSTM else states[0]]))
    lengths = draw(st.none() | st.lists(st.integers(shortest, T), min_size=N, max_size=N))
    if lengths is not None:
        x[np.arange(T)[:, None] >= lengths] = np.nan
    return layer, x, state, lengths


@STEADY
@given(problems())
def test_outputs_states_and_every_gradient_agree_with_the_torch_loop(problem):
    report = torchref.parity(*problem, ways=["loop"])
    states = {f"{name}_n" for name in problem[0].state_names} | {f"d{name}0" for name in problem[0].state_names}
    assert report.differences["loop"].keys() == {"output", "dx", *states, *problem[0].parameters}
    assert report.worst <= 1e-10, str(report)


@STEADY
@given(problems(shortest=1))
def test_outputs_states_and_every_gradient_agree_with_the_fused_kernel(problem):
    report = torchref.parity(*problem, ways=["loop", "fused", "packed"])
    assert report.differences.keys() == {"loop", "packed", *(["fused"] if problem[3] is None else [])}
    assert report.differences["packed"].keys() == report.differences["loop"].keys()
    assert report.worst <= 1e-10, str(report)


def test_parity_holds_over_a_long_ragged_batch():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 301, 20)
    layer, x = RNN(5, 8, 2, bidirectional=True, rng=0), rng.standard_normal((300, 20, 5))
    report = torchref.parity(layer, x, None, lengths, ways=["loop", "packed"])
    assert report.worst <= 1e-10, str(report)


def test_parity_in_float32_is_float32_rounding():
    x = np.random.default_rng(0).standard_normal((40, 6, 5)).astype(np.float32)
    report = torchref.parity(RNN(5, 8, dtype=np.float32, rng=0), x, ways=["loop", "fused"])
    assert 1e-9 < report.worst < 1e-5


def test_parity_sees_a_single_wrong_gradient():
    class Wrong(RNN):
        def backward(self, doutput, dh_n, cache):
            dx, dh0, gradients = super().backward(doutput, dh_n, cache)
            gradients["bias_hh_l0"] = 1.01 * gradients["bias_hh_l0"]
            return dx, dh0, gradients

    report = torchref.parity(Wrong(2, 3, rng=0), np.ones((4, 2, 2)), ways=["loop", "fused"])
    for way in report.differences.values():
        assert [name for name, difference in way.items() if difference > 1e-10] == ["bias_hh_l0"]
    assert "bias_hh_l0" in str(report)
    assert report.worst > 1e-3


def test_a_nan_in_a_result_is_not_parity():
    x = np.ones((4, 2, 2))
    x[1, 0] = np.nan
    assert np.isnan(torchref.parity(RNN(2, 3, rng=0), x, ways=["loop"]).worst)


def test_what_cannot_be_compared_is_listed_with_its_reason():
    layer, x = GRU(2, 3, 2, dropout=0.5, rng=0), np.ones((9, 2, 2))
    report = torchref.parity(layer, x, ways=["loop", "fused", "packed", "keras", "onnx"], training=0)
    assert report.differences.keys() == {"loop"}
    for way in ("fused", "packed", "keras"):
        assert f"no {way}: " in str(report)
        assert "in training its masks are others" in report.absent[way]
    assert "for inference" in report.absent["onnx"]
    with pytest.raises(ValueError, match="there is no way 'numpy': expected some of loop, compiled"):
        torchref.parity(layer, x, ways=["numpy"])


def test_parity_leaves_torchs_settings_as_they_were_and_states_its_own():
    layer, x, matmul = RNN(2, 3, rng=0), np.ones((2, 1, 2)), torch.backends.cuda.matmul
    for before in (False, True):
        matmul.allow_tf32 = before
        try:
            report = torchref.parity(layer, x, ways=["loop"], dtype=torch.float32, tf32=True)
            assert matmul.allow_tf32 is before
        finally:
            matmul.allow_tf32 = False
    assert report.numbers == "rnnlib: float64 on cpu; torch: float32 on cpu, TF32 on"
    assert 1e-9 < report.worst < 1e-5


def test_nothing_compared_is_not_parity():
    report = torchref.parity(RNN(2, 3, rng=0), np.ones((4, 2, 2)), None, [4, 0], ways=["packed"])
    assert report.absent.keys() == {"packed"}
    assert np.isnan(report.worst)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("kind", "options"), [(RNN, {}), (RNN, {"nonlinearity": "relu"}), (GRU, {}), (LSTM, {"dropout": 0.25})]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_survive_the_round_trip(bidirectional, kind, options, dtype):
    layer = kind(3, 4, 2, bidirectional=bidirectional, dtype=dtype, rng=0, **options)
    module = torchref.to_torch(layer)
    assert list(layer.parameters) == [name for name, _ in module.named_parameters()]
    back = torchref.from_torch(module)
    assert type(back) is kind
    assert back.__dict__.keys() == layer.__dict__.keys()
    for name, value in layer.parameters.items():
        assert back.parameters[name].dtype == value.dtype
        assert np.array_equal(back.parameters[name], value)
    assert {k: v for k, v in vars(back).items() if k != "parameters"} == {
        k: v for k, v in vars(layer).items() if k != "parameters"
    }


def test_converted_weights_are_copies():
    layer = RNN(3, 4, rng=0)
    module = torchref.to_torch(layer)
    back = torchref.from_torch(module)
    layer.parameters["weight_ih_l0"][:] = 0
    back.parameters["weight_hh_l0"][:] = 0
    assert module.weight_ih_l0.detach().all()
    assert module.weight_hh_l0.detach().all()


@pytest.mark.parametrize("option", [{"bias": False}, {"proj_size": 2}, {"batch_first": True}])
def test_a_module_with_options_the_layer_lacks_is_refused(option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=f"the module has {name}="):
        torchref.from_torch(torch.nn.LSTM(3, 4, **option))


@pytest.mark.parametrize(
    "option", [{"layer_norm": True}, {"zoneout": 0.1}, {"variational_dropout": 0.1}, {"reset": "before"}]
)
def test_a_layer_with_options_torch_lacks_is_refused(option):
    name = next(iter(option))
    with pytest.raises(ValueError, match=rf"the layer has {name}=.*torch.nn.GRU has no equivalent"):
        torchref.to_torch(GRU(3, 4, **option))


def test_a_length_of_zero_goes_to_the_loop():
    layer, x = RNN(2, 3, rng=0), np.ones((4, 2, 2))
    report = torchref.parity(layer, x, None, [4, 0], ways=["loop", "packed"])
    assert report.worst <= 1e-10
    assert "length is 0" in report.absent["packed"]
    with pytest.raises(ValueError, match=r"use torchref\.loop"):
        torchref.fused(torchref.to_torch(layer), torch.ones(4, 2, 2, dtype=torch.float64), None, [4, 0])


def test_nan_in_the_padding_reaches_no_torch_gradient():
    module = torchref.to_torch(RNN(2, 3, bidirectional=True, rng=0))
    x = torch.full((4, 2, 2), torch.nan, dtype=torch.float64)
    x[:3, 0] = 1
    output, h_n = torchref.loop(module, x, None, [3, 0])
    (output.sum() + h_n.sum()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())
