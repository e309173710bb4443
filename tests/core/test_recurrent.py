"""The recurrent layers: names, depth, direction, carried state, regularisation; what they keep and what they do not."""

import numpy as np
import pytest

from rnnlib.cells import rnn
from rnnlib.gradcheck import check_gradient
from rnnlib.recurrent import GRU, LSTM, RNN

EVERY_KIND = pytest.mark.parametrize("kind", [RNN, GRU, LSTM])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_parameters_have_torch_s_names_shapes_and_order():
    shapes = {name: value.shape for name, value in RNN(3, 4, 2, bidirectional=True).parameters.items()}
    assert list(shapes.items()) == [
        ("weight_ih_l0", (4, 3)),
        ("weight_hh_l0", (4, 4)),
        ("bias_ih_l0", (4,)),
        ("bias_hh_l0", (4,)),
        ("weight_ih_l0_reverse", (4, 3)),
        ("weight_hh_l0_reverse", (4, 4)),
        ("bias_ih_l0_reverse", (4,)),
        ("bias_hh_l0_reverse", (4,)),
        ("weight_ih_l1", (4, 8)),
        ("weight_hh_l1", (4, 4)),
        ("bias_ih_l1", (4,)),
        ("bias_hh_l1", (4,)),
        ("weight_ih_l1_reverse", (4, 8)),
        ("weight_hh_l1_reverse", (4, 4)),
        ("bias_ih_l1_reverse", (4,)),
        ("bias_hh_l1_reverse", (4,)),
    ]


def test_parameters_fill_torch_s_initial_range():
    weight = RNN(50, 100, rng=0).parameters["weight_hh_l0"]
    assert 0.0999 < weight.max() <= 0.1
    assert -0.1 <= weight.min() < -0.0999
    assert abs(weight.mean()) < 0.002


def test_a_seed_gives_the_same_parameters_and_generators_move_on():
    same = RNN(3, 4, rng=5).parameters["weight_ih_l0"], RNN(3, 4, rng=5).parameters["weight_ih_l0"]
    assert np.array_equal(*same)
    rng = np.random.default_rng(5)
    assert not np.array_equal(
        RNN(3, 4, rng=rng).parameters["weight_ih_l0"], RNN(3, 4, rng=rng).parameters["weight_ih_l0"]
    )


def arrays(state):
    """A state as a list, whether its cell has one or two."""
    return list(state) if isinstance(state, tuple) else [state]


def like(kind, states):
    return tuple(states) if kind is LSTM else states[0]


def initial(kind, *shape):
    return like(kind, [normal(*shape, seed=k + 7) for k in range(2)])


@EVERY_KIND
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_two_windows_with_carried_state_equal_one_long_run(kind, num_layers, checkpoint):
    layer = kind(3, 4, num_layers, checkpoint=checkpoint, rng=0)
    x, state = normal(10, 2, 3), initial(kind, num_layers, 2, 4)
    output, final, _ = layer.forward(x, state)
    first, carried, _ = layer.forward(x[:6], state)
    second, last, _ = layer.forward(x[6:], carried)
    np.testing.assert_allclose(np.concatenate([first, second]), output, rtol=0, atol=1e-14)
    for one, other in zip(arrays(last), arrays(final), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-14)


def test_carried_state_does_not_join_the_windows_of_a_bidirectional_layer():
    layer, x = RNN(3, 4, bidirectional=True, rng=0), normal(10, 2, 3)
    output, _, _ = layer.forward(x)
    _, carried, _ = layer.forward(x[:6])
    second, _, _ = layer.forward(x[6:], carried)
    np.testing.assert_allclose(second[:, :, :4], output[6:, :, :4], rtol=0, atol=1e-14)
    assert np.abs(second[:, :, 4:] - output[6:, :, 4:]).max() > 0.01


def test_both_directions_are_two_cells_side_by_side():
    layer, x, lengths = RNN(3, 4, bidirectional=True, rng=0), normal(6, 3, 3), [6, 2, 0]
    weights = list(layer.parameters.values())
    output, h_n, _ = layer.forward(x, lengths=lengths)
    for k, part in enumerate((output[:, :, :4], output[:, :, 4:])):
        hs, h_last, _ = rnn.forward(x, np.zeros((3, 4)), *weights[4 * k : 4 * k + 4], lengths, reverse=bool(k))
        assert np.array_equal(part, hs)
        assert np.array_equal(h_n[k], h_last)


EVERYTHING = {"layer_norm": True, "zoneout": 0.2, "variational_dropout": 0.3}
OPTIONS = {
    "plain": {},
    "checkpoint": {"checkpoint": True},
    "dropout": {"dropout": 0.4},
    "variational": {"variational_dropout": 0.4},
    "zoneout": {"zoneout": 0.3},
    "layer norm": {"layer_norm": True},
    "everything": EVERYTHING,
    "everything and checkpoint": {**EVERYTHING, "checkpoint": True},
}


@EVERY_KIND
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("lengths", [None, [4, 0, 3]])
def test_gradients_of_a_stacked_bidirectional_layer_agree_with_the_loss(kind, options, lengths):
    H = 3 if kind is RNN else 2  # layer norm over two entries leaves only their signs
    layer = kind(2, H, 2, bidirectional=True, rng=0, **options)
    x, state, dstate = normal(4, 3, 2), initial(kind, 4, 3, H), initial(kind, 4, 3, H)
    doutput = normal(4, 3, 2 * H, seed=1)

    def run(x=x, state=state):
        return layer.forward(x, state, lengths, rng=np.random.default_rng(5))

    def loss(**changes):
        output, final, _ = run(**changes)
        ends = sum((a * b).sum() for a, b in zip(arrays(final), arrays(dstate), strict=True))
        return (output * doutput).sum() + ends

    def loss_with(name, value):
        kept = layer.parameters[name]
        layer.parameters[name] = value
        result = loss()
        layer.parameters[name] = kept
        return result

    dx, dstate0, gradients = layer.backward(doutput, dstate, run()[2])
    assert check_gradient(lambda v: loss(x=v), x, dx, tolerance=1e-12).ok
    for k, d in enumerate(arrays(dstate0)):

        def moved(v, k=k):
            return loss(state=like(kind, [v if j == k else s for j, s in enumerate(arrays(state))]))

        assert check_gradient(moved, arrays(state)[k], d, tolerance=1e-12).ok
    assert list(gradients) == list(layer.parameters)
    for name, value in layer.parameters.items():
        report = check_gradient(lambda v, name=name: loss_with(name, v), value, gradients[name], tolerance=1e-12)
        assert report.ok, f"{name}: {report}"


@EVERY_KIND
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("junk", [np.nan, np.inf])
def test_padding_reaches_nothing_whatever_the_options(kind, options, junk):
    layer, lengths = kind(3, 4, 2, bidirectional=True, rng=0, **options), [4, 0, 6]
    padding = (np.arange(6)[:, None] >= lengths)[:, :, None]
    x, doutput = normal(6, 3, 3), normal(6, 3, 8, seed=1)

    def run(x, doutput):
        output, final, cache = layer.forward(x, None, lengths, rng=np.random.default_rng(5))
        dx, dstate, gradients = layer.backward(doutput, final, cache)
        return [output, dx, *arrays(final), *arrays(dstate), *gradients.values()]

    expected = run(x, doutput)
    for one, other in zip(run(np.where(padding, junk, x), np.where(padding, junk, doutput)), expected, strict=True):
        assert np.array_equal(one, other)
    assert not expected[0][padding[:, :, 0]].any()
    assert not expected[1][padding[:, :, 0]].any()
    more = [np.concatenate([a, np.full((3, *a.shape[1:]), junk)]) for a in (x, doutput)]
    if not (options.get("checkpoint") and options.get("zoneout")):  # then every window draws for itself
        for one, other in zip(run(*more), expected, strict=True):
            np.testing.assert_allclose(one[: len(other)], other, rtol=0, atol=1e-12 * max(1, np.abs(other).max()))


@EVERY_KIND
def test_checkpointing_changes_no_digit_that_matters(kind):
    plain, saving = (kind(3, 4, 2, bidirectional=True, checkpoint=on, rng=0) for on in (False, True))
    x, lengths, doutput = normal(17, 3, 3), [17, 0, 9], normal(17, 3, 8, seed=1)
    results = []
    for layer in (plain, saving):
        output, final, cache = layer.forward(x, None, lengths)
        dx, dstate, gradients = layer.backward(doutput, None, cache)
        results.append([output, dx, *arrays(final), *arrays(dstate), *gradients.values()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)


@EVERY_KIND
@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"variational_dropout": 0.5}, {"zoneout": 0.5}])
def test_noise_comes_from_the_generator_alone_and_not_in_evaluation(kind, options):
    layer, x = kind(3, 4, 2, rng=0, **options), normal(5, 2, 3)

    def run(seed):
        return layer.forward(x, rng=None if seed is None else np.random.default_rng(seed))[0]

    assert np.array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))
    assert np.array_equal(run(None), run(None))
    assert not np.array_equal(run(1), run(None))


@EVERY_KIND
def test_dropout_is_nothing_in_evaluation(kind):
    x = normal(5, 2, 3)
    plain = kind(3, 4, 2, rng=0).forward(x)[0]
    for options in ({"dropout": 0.5}, {"variational_dropout": 0.5}):
        assert np.array_equal(kind(3, 4, 2, rng=0, **options).forward(x)[0], plain)


def test_variational_dropout_holds_one_mask_for_a_sequence():
    layer = RNN(2, 200, variational_dropout=0.5, nonlinearity="relu", rng=0)
    for name, value in layer.parameters.items():
        layer.parameters[name] = np.eye(200) if name == "weight_hh_l0" else 0 * value
    h0 = np.ones((1, 2, 200))
    output, _, _ = layer.forward(np.zeros((6, 2, 2)), h0, rng=np.random.default_rng(0))
    # h_t = m ⊙ h_{t-1}, m either 0 or 2 at every step alike
    assert set(np.unique(output[-1])) == {0, 2.0**6}
    assert np.array_equal(output[0] > 0, output[-1] > 0)
    assert not np.array_equal(output[0, 0], output[0, 1])
    assert 0.4 < (output[-1] > 0).mean() < 0.6


def test_zoneout_holds_entries_in_training_and_mixes_in_evaluation():
    layer = RNN(2, 300, zoneout=0.3, rng=0)
    for name, value in layer.parameters.items():
        layer.parameters[name] = np.full_like(value, 0.5 if name == "bias_ih_l0" else 0)
    h0 = np.full((1, 2, 300), -1.0)
    (first,), _, _ = layer.forward(np.zeros((1, 2, 2)), h0, rng=np.random.default_rng(0))
    assert set(np.unique(first)) == {-1.0, np.tanh(0.5)}
    assert 0.25 < (first == -1).mean() < 0.35
    (mixed,), _, _ = layer.forward(np.zeros((1, 2, 2)), h0)
    np.testing.assert_allclose(mixed, 0.3 * -1 + 0.7 * np.tanh(0.5))


def follower(num_layers=1, **options):
    """A layer whose every new state is tanh of 1 + the sum of what its layer reads: what is held shows at once."""
    layer = RNN(1, 64, num_layers, zoneout=0.5, **options)
    for name, value in layer.parameters.items():
        layer.parameters[name] = np.full_like(value, 1.0 if name.startswith(("weight_ih", "bias_ih")) else 0.0)
    return layer


def test_every_layer_and_direction_draws_for_itself():
    layer = follower(2, bidirectional=True)
    h0 = np.full((4, 1, 64), -0.5)
    _, h_n, _ = layer.forward(np.zeros((1, 1, 1)), h0, rng=np.random.default_rng(0))
    held = {tuple(sweep) for sweep in (h_n[:, 0] == -0.5)}
    assert len(held) == 4


@pytest.mark.parametrize("checkpoint", [False, True])
def test_every_step_draws_for_itself_in_one_window_or_in_many(checkpoint):
    layer = follower(checkpoint=checkpoint)
    x = np.arange(9.0).reshape(9, 1, 1)
    output, _, _ = layer.forward(x, rng=np.random.default_rng(0))
    steps = np.diff(output[:, 0], axis=0, prepend=0) == 0
    assert len({tuple(step) for step in steps}) == 9


def test_an_lstm_s_two_states_may_be_held_at_different_rates():
    layer, x = LSTM(2, 300, zoneout=(0.0, 0.6), rng=0), np.zeros((1, 2, 2))
    state = np.zeros((1, 2, 300)), np.full((1, 2, 300), 9.0)
    _, (h, c), _ = layer.forward(x, state, rng=np.random.default_rng(0))
    assert 0.5 < (c == 9).mean() < 0.7
    assert not (h == 0).any()


def test_layer_norm_makes_a_projection_s_scale_not_matter():
    layer, x = LSTM(3, 4, layer_norm=True, rng=0), normal(5, 2, 3)
    layer.parameters["weight_ih_l0"] *= 1000  # so large that the eps inside the norm is nothing
    output = layer.forward(x)[0]
    layer.parameters["weight_ih_l0"] *= 1000
    np.testing.assert_allclose(layer.forward(x)[0], output, atol=1e-6)
    layer.parameters["norm_ih_l0"] *= 2
    assert np.abs(layer.forward(x)[0] - output).max() > 0.01


@EVERY_KIND
def test_orthogonal_and_identity_start_gate_by_gate(kind):
    gates = kind(3, 4).parameters["weight_hh_l0"].shape[0] // 4
    for name in ("orthogonal", "identity"):
        parameters = kind(3, 4, init=name, rng=0).parameters
        for W in np.split(parameters["weight_hh_l0"], gates):
            np.testing.assert_allclose(W @ W.T, np.eye(4), atol=1e-14)
        assert not parameters["bias_ih_l0"].any()
    assert np.array_equal(W, np.eye(4))
    xavier = kind(300, 300, init="xavier", rng=0).parameters["weight_hh_l0"]
    assert 0.0995 < np.abs(xavier).max() <= 0.1  # √(6 / 600)


def test_the_forget_gate_s_bias_starts_where_it_is_told():
    parameters = LSTM(3, 4, 2, forget_bias=1, rng=0).parameters
    for layer in "01":
        total = parameters[f"bias_ih_l{layer}"] + parameters[f"bias_hh_l{layer}"]
        assert np.array_equal(total[4:8], np.ones(4))
        assert not np.array_equal(total[:4], np.ones(4))


def test_a_layer_keeps_nothing_between_calls():
    layer = RNN(3, 4, 2, rng=0)
    before = {name: value.copy() for name, value in layer.parameters.items()}
    attributes = set(vars(layer))
    x, other = normal(5, 2, 3), normal(7, 1, 3, seed=1)
    output, h_n, cache = layer.forward(x)
    expected = layer.backward(output, h_n, cache)
    layer.forward(other)
    again = layer.backward(output, h_n, cache)
    assert np.array_equal(expected[0], again[0])
    assert all(np.array_equal(expected[2][name], again[2][name]) for name in expected[2])
    assert set(vars(layer)) == attributes
    assert all(np.array_equal(layer.parameters[name], before[name]) for name in before)


def test_no_upstream_gradient_means_zeros():
    layer, x = RNN(3, 4, 2, bidirectional=True, rng=0), normal(5, 2, 3)
    output, h_n, cache = layer.forward(x)
    dx, dh0, gradients = layer.backward(None, None, cache)
    assert not any(a.any() for a in (dx, dh0, *gradients.values()))
    some, _, _ = layer.backward(None, h_n, cache)
    same, _, _ = layer.backward(np.zeros_like(output), h_n, cache)
    assert some.any()
    assert np.array_equal(some, same)


def test_a_float32_layer_stays_float32():
    layer, x = RNN(3, 4, 2, bidirectional=True, dtype=np.float32, rng=0), normal(5, 2, 3).astype(np.float32)
    output, h_n, cache = layer.forward(x, lengths=[5, 2])
    dx, dh0, gradients = layer.backward(output, h_n, cache)
    assert {a.dtype for a in (output, h_n, dx, dh0, *gradients.values())} == {np.dtype(np.float32)}
    with pytest.raises(TypeError, match="several precisions"):
        layer.forward(x.astype(np.float64))


def test_a_gru_s_convention_is_chosen_by_name():
    x, same = normal(5, 2, 3), {"rng": 0}
    assert not np.allclose(GRU(3, 4, **same).forward(x)[0], GRU(3, 4, reset="before", **same).forward(x)[0], atol=1e-3)
    with pytest.raises(ValueError, match="reset is 'never': expected 'after' or 'before'"):
        GRU(3, 4, reset="never")


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (RNN, {"dropout": 0.5}, "dropout acts between layers"),
        (RNN, {"num_layers": 2, "dropout": 0.5, "variational_dropout": 0.5}, "choose one of them"),
        (RNN, {"zoneout": 1.0}, "zoneout is 1.0: expected a probability"),
        (LSTM, {"zoneout": (0.1, -0.1)}, "zoneout is -0.1"),
        (LSTM, {"variational_dropout": 1.5}, "variational_dropout is 1.5"),
        (GRU, {"zoneout": (0.1, 0.2)}, "one for each of the states h$"),
        (GRU, {"init": "zeros"}, "init is 'zeros': expected one of uniform, xavier, orthogonal, identity"),
        (GRU, {"reset": "before", "layer_norm": True}, "reset='before' goes with neither"),
        (GRU, {"reset": "before", "zoneout": 0.1}, "reset='before' goes with neither"),
        (GRU, {"reset": "before", "variational_dropout": 0.1}, "reset='before' goes with neither"),
    ],
)
def test_what_does_not_go_together_says_so(kind, options, says):
    with pytest.raises(ValueError, match=says):
        kind(3, 4, **options)


def test_a_wrong_lstm_state_is_explained():
    layer, x = LSTM(3, 4), normal(5, 2, 3)
    with pytest.raises(TypeError, match="the state has 1 arrays: expected 2, h0 and c0"):
        layer.forward(x, normal(1, 2, 4))
    with pytest.raises(ValueError, match=r"c0 has shape \(2, 4\): expected \(1, 2, 4\)"):
        layer.forward(x, (normal(1, 2, 4), normal(2, 4)))


def test_a_wrong_argument_is_explained():
    layer, x = RNN(3, 4, 2), normal(5, 2, 3)
    with pytest.raises(ValueError, match=r"x has shape \(5, 3\).*input_size = 3"):
        layer.forward(x[:, 0])
    with pytest.raises(TypeError, match="rng is 7: expected a Generator"):
        layer.forward(x, rng=7)
    with pytest.raises(TypeError, match="x is a list: expected a NumPy array"):
        layer.forward(x.tolist())
    with pytest.raises(TypeError, match=r"x has dtype int64.*token ids"):
        layer.forward(x.astype(int))
    with pytest.raises(ValueError, match=r"x has shape \(5, 2, 1\).*input_size = 3"):
        layer.forward(x[:, :, :1])
    with pytest.raises(ValueError, match=r"h0 has shape \(1, 2, 4\): expected \(2, 2, 4\)"):
        layer.forward(x, normal(1, 2, 4))
    _, _, cache = layer.forward(x)
    with pytest.raises(ValueError, match=r"doutput has shape \(5, 2, 8\): expected \(5, 2, 4\)"):
        layer.backward(normal(5, 2, 8), None, cache)
    with pytest.raises(ValueError, match=r"dh_n has shape \(2, 4\): expected \(2, 2, 4\)"):
        layer.backward(None, normal(2, 4), cache)
    with pytest.raises(ValueError, match="3, 0 and 1: each must be at least 1"):
        RNN(3, 0)
    with pytest.raises(ValueError, match="nonlinearity is 'sin'"):
        RNN(3, 4, nonlinearity="sin")
    with pytest.raises(TypeError, match="dtype is int64"):
        RNN(3, 4, dtype=int)
