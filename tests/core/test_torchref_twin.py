"""torchref's own modules: everything that rnnlib's layers do, in evaluation and in training, in every form."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.recurrent import GRU, LSTM, RNN

torch = pytest.importorskip("torch")
torchref = pytest.importorskip("rnnlib.torchref")

STEADY = settings(deadline=None, max_examples=60, derandomize=True)
KINDS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}


@st.composite
def problems(draw):
    T, N, D, H, K = (draw(st.integers(1, most)) for most in (10, 5, 4, 5, 3))
    H += 2  # layer norm makes one entry 0 and two ±1, whatever they are: gradients would be rounding
    kind = draw(st.sampled_from(["RNN", "GRU", "LSTM"]))
    options = {"bidirectional": draw(st.booleans())}
    if kind == "GRU" and draw(st.booleans()):
        options["reset"] = "before"
    else:
        options["layer_norm"] = draw(st.booleans())
        rates = st.sampled_from([0.0, 0.3])
        options["zoneout"] = (draw(rates), draw(rates)) if kind == "LSTM" else draw(rates)
        options["variational_dropout"] = draw(rates)
    if K > 1 and not options.get("variational_dropout"):
        options["dropout"] = draw(st.sampled_from([0.0, 0.4]))
    if kind == "RNN":
        options["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    layer = KINDS[kind](D, H, K, rng=draw(st.integers(0, 999)), **options)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    for name, value in layer.parameters.items():
        if name.startswith("norm"):
            value[:] = rng.uniform(0.5, 1.5, value.shape)
    x = rng.standard_normal((T, N, D))
    states = tuple(rng.standard_normal((K * layer.directions, N, H)) for _ in layer.state_names)
    state = draw(st.sampled_from([None, layer.joined(list(states))]))
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=N, max_size=N))
    if lengths is not None:
        x[np.arange(T)[:, None] >= lengths] = np.nan
    return layer, x, state, lengths


@STEADY
@given(problems())
def test_in_evaluation_every_option_gives_rnnlibs_numbers_and_gradients(problem):
    report = torchref.parity(*problem, ways=["loop"])
    assert report.worst <= 1e-10, f"{vars(problem[0])}\n{report}"


@STEADY
@given(problems(), st.integers(0, 99))
def test_in_training_the_same_generator_drops_and_holds_the_same_entries(problem, seed):
    report = torchref.parity(*problem, ways=["loop"], training=seed)
    assert report.worst <= 1e-10, f"{vars(problem[0])}\n{report}"


def test_the_generator_ends_where_rnnlibs_layer_leaves_it():
    layer = LSTM(3, 4, 2, zoneout=0.2, dropout=0.3, rng=0)
    ours, theirs = np.random.default_rng(5), np.random.default_rng(5)
    layer.forward(np.ones((6, 2, 3)), rng=ours)
    torchref.twin(layer)(torch.ones(6, 2, 3, dtype=torch.float64), rng=theirs)
    assert ours.random() == theirs.random()


def test_a_torch_generator_drops_and_holds_at_the_rates_asked_for():
    # With these weights a unit's state grows by exactly 1 where it is not held, and by 2 where its input is doubled.
    layer = RNN(1, 1, nonlinearity="relu", zoneout=0.25, rng=0)
    for name, value in layer.parameters.items():
        value[:] = 1 if name.startswith("weight") else 0
    x = torch.ones(50, 400, 1, dtype=torch.float64)
    _, h_n = torchref.twin(layer)(x, rng=torch.Generator().manual_seed(0))
    assert abs(h_n.mean().item() / 50 - 0.75) < 0.01  # 20,000 draws: 3 standard errors are 0.009
    dropping = RNN(1, 1, nonlinearity="relu", variational_dropout=0.5, rng=0)
    for name, value in dropping.parameters.items():
        value[:] = 1 if name == "weight_ih_l0" else 0
    output, _ = torchref.twin(dropping)(x, rng=torch.Generator().manual_seed(0))
    assert set(output.unique().tolist()) == {0.0, 2.0}
    assert (output == output[0]).all()
    assert abs((output[0] == 0).double().mean().item() - 0.5) < 0.08


def test_without_a_generator_nothing_is_dropped_even_in_training_mode():
    layer = GRU(3, 4, 2, dropout=0.5, rng=0)
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    for form in ("loop", "fused"):
        output, _ = torchref.twin(layer, form).train()(torch.from_numpy(x))
        assert np.allclose(output.detach().numpy(), layer.forward(x)[0], rtol=0, atol=1e-12)


def test_the_fused_form_drops_between_layers_and_its_generator_seeds_it():
    module = torchref.twin(GRU(3, 4, 2, dropout=0.5, rng=0), "fused").eval()
    x, before = torch.ones(5, 2, 3, dtype=torch.float64), torch.random.get_rng_state()
    plain, _ = module(x)
    first, second, other = (module(x, rng=np.random.default_rng(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (module.training, module.dropout) == (False, 0.5)


def test_a_seed_instead_of_a_generator_is_refused():
    with pytest.raises(TypeError, match="a seed would drop the same entries at every call"):
        torchref.LSTM(2, 3, rng=0)(torch.ones(2, 1, 2, dtype=torch.float64), rng=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_start_from_the_same_weights(kind):
    options = {"bidirectional": True, "layer_norm": True, "zoneout": 0.1, "init": "orthogonal"}
    layer, module = KINDS[kind](3, 4, 2, rng=7, **options), getattr(torchref, kind)(3, 4, 2, rng=7, **options)
    own = dict(module.named_parameters())
    assert own.keys() == layer.parameters.keys()
    assert all(np.array_equal(own[name].detach().numpy(), value) for name, value in layer.parameters.items())
    assert isinstance(module, getattr(torch.nn, kind))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNN", {"nonlinearity": "relu", "layer_norm": True, "zoneout": 0.1}),
        ("GRU", {"reset": "before", "bidirectional": True}),
        ("GRU", {"variational_dropout": 0.2}),
        ("LSTM", {"zoneout": (0.1, 0.2), "dropout": 0.3, "layer_norm": True}),
    ],
)
def test_a_layer_survives_the_round_trip_through_its_twin(kind, options):
    layer = KINDS[kind](3, 4, 2, rng=0, dtype=np.float32, **options)
    back = torchref.from_torch(torchref.twin(layer))
    assert type(back) is KINDS[kind]
    assert all(np.array_equal(back.parameters[name], value) for name, value in layer.parameters.items())
    assert {k: v for k, v in vars(back).items() if k != "parameters"} == {
        k: v for k, v in vars(layer).items() if k != "parameters"
    }
    layer.parameters["weight_hh_l0"][:] = 0
    assert back.parameters["weight_hh_l0"].any()


def test_a_twin_loads_the_state_of_a_torch_module_and_copies_like_one():
    source = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    module = torchref.LSTM(3, 4, 2, bidirectional=True, dtype=torch.float32, form="fused")
    module.load_state_dict(source.state_dict())
    x = torch.randn(5, 2, 3)
    for own in (module, copy.deepcopy(module)):
        assert torch.equal(own(x)[0], source(x)[0])
    assert "form='fused'" in repr(module)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_twin_computes_in_its_own_precision_and_comes_back_as_numpy_can_hold_it(dtype):
    layer = LSTM(3, 4, layer_norm=True, zoneout=0.1, rng=0)
    module = torchref.twin(layer, dtype=dtype)
    output, (h_n, c_n) = module(torch.ones(4, 2, 3, dtype=dtype), None, [4, 1], rng=np.random.default_rng(0))
    assert {output.dtype, h_n.dtype, c_n.dtype} == {dtype}
    back = torchref.from_torch(module)
    assert back.dtype == np.float32
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-7
    assert np.allclose(back.parameters["weight_hh_l0"], layer.parameters["weight_hh_l0"], rtol=0, atol=tolerance)


def test_windows_with_carried_state_give_the_long_run():
    module = torchref.twin(GRU(3, 4, 2, layer_norm=True, rng=0))
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((9, 2, 3)))
    whole, last = module(x)
    first, state = module(x[:4])
    second, state = module(x[4:], state)
    assert torch.allclose(torch.cat([first, second]), whole, rtol=0, atol=1e-14)
    assert torch.allclose(state, last, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((torch.ones(2, 4, 5), None, None), ValueError, "D = input_size = 3"),
        ((torch.ones(4, 2, 3), torch.ones(2, 2, 4), None), ValueError, r"h0 has shape \(2, 2, 4\): expected \(1, 2, 4"),
        ((torch.ones(4, 2, 3), None, [4, 5]), ValueError, "each must lie in 0 to T = 4"),
        ((torch.ones(4, 2, 3), None, [4]), ValueError, "is the batch time-major"),
        ((torch.ones(4, 2, 3), None, torch.ones(2)), TypeError, "whole numbers"),
    ],
)
@pytest.mark.parametrize("form", ["loop", "fused", "compiled"])
def test_every_form_says_what_is_wrong_with_its_input(form, arguments, error, says):
    module = torchref.RNN(3, 4, form=form, dtype=torch.float32, rng=0)
    with pytest.raises(error, match=says):
        module(*arguments)


@pytest.mark.parametrize("option", [{"layer_norm": True}, {"zoneout": 0.1}, {"reset": "before"}])
def test_the_fused_form_refuses_what_torchs_kernel_lacks(option):
    module = torchref.GRU(2, 3, form="fused", rng=0, **option)
    with pytest.raises(torchref.Unsupported, match=f"the layer has {next(iter(option))}="):
        module(torch.ones(2, 1, 2, dtype=torch.float64))


def test_what_cannot_be_asked_of_a_twin_is_refused():
    with pytest.raises(ValueError, match=r"form is 'fast': expected one of loop, compiled, graph"):
        torchref.RNN(2, 3, form="fast")
    with pytest.raises(ValueError, match="a torch module has none of its own"):
        torchref.RNN(2, 3, checkpoint=True)
    with pytest.raises(ValueError, match="neither layer_norm nor variational_dropout nor zoneout"):
        torchref.GRU(2, 3, reset="before", zoneout=0.1)
