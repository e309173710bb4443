"""What one looks at: Jacobians, gradients by lag, gates, surfaces; and what a state remembers."""

import numpy as np
import pytest

from rnnlib import probes
from rnnlib.cells import rnn
from rnnlib.recurrent import GRU, LSTM, RNN

KINDS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def start(layer, N=3, seed=5):
    states = [normal(N, layer.hidden_size, seed=seed + k) for k in range(len(layer.state_names))]
    return tuple(states) if len(states) == 2 else states[0]


def test_a_tanh_network_s_jacobian_is_its_formula():
    layer, x = RNN(2, 4, rng=0), normal(5, 3, 2)
    h0 = start(layer)
    J = probes.jacobians(probes.step_of(layer), x, h0, method="complex")
    hs, _, _ = layer.forward(x, h0[None])
    # ∂h_t/∂h_{t-1} = diag(1 - h_t²) W_hh
    np.testing.assert_allclose(J, (1 - hs**2)[..., None] * layer.parameters["weight_hh_l0"], rtol=0, atol=1e-15)


@EVERY_KIND
def test_both_methods_and_a_learner_s_own_step_give_the_same_jacobians(kind):
    layer, x = KINDS[kind](2, 3, rng=0), normal(4, 3, 2)
    state, step = start(layer), probes.step_of(layer)

    def own(x_t, state):  # a learner's function: keeps nothing complex
        return step(x_t.copy(), state)

    exact = probes.jacobians(step, x, state, method="complex")
    np.testing.assert_allclose(probes.jacobians(own, x, state), exact, rtol=0, atol=1e-9)
    assert exact.shape == (4, 3, 6 if kind == "lstm" else 3, 6 if kind == "lstm" else 3)


@EVERY_KIND
def test_gradient_norms_by_jacobians_are_those_of_the_layer_s_backward_pass(kind):
    layer, x = KINDS[kind](2, 3, rng=0), normal(6, 3, 2)
    state, upstream = start(layer), start(layer, seed=9)
    J = probes.jacobians(probes.step_of(layer), x, state, method="complex")
    flat = np.concatenate(upstream if kind == "lstm" else (upstream,), axis=1)
    deep = tuple(s[None] for s in upstream) if kind == "lstm" else upstream[None]
    first = tuple(s[None] for s in state) if kind == "lstm" else state[None]
    by_layer = probes.gradient_norms(layer, x, deep, first)
    assert by_layer.shape == (7, 3)
    np.testing.assert_allclose(probes.step_gradient_norms(J, flat), by_layer, rtol=1e-12)
    np.testing.assert_allclose(by_layer[0], np.linalg.norm(flat, axis=1), rtol=1e-14)


def test_gradient_norms_of_a_deep_layer_end_where_one_long_backward_pass_ends():
    layer, x = LSTM(2, 3, 2, rng=0), normal(6, 3, 2)
    upstream = normal(2, 3, 3, seed=1), normal(2, 3, 3, seed=2)
    norms = probes.gradient_norms(layer, x, upstream)
    _, _, cache = layer.forward(x)
    _, first, _ = layer.backward(None, upstream, cache)
    np.testing.assert_allclose(norms[-1], np.sqrt(sum((d**2).sum(axis=(0, 2)) for d in first)), rtol=1e-12)


def test_lag_products_multiply_in_the_order_of_time():
    J = normal(3, 2, 4, 4)
    products = probes.lag_products(J)
    np.testing.assert_allclose(products[0], np.broadcast_to(np.eye(4), (2, 4, 4)))
    np.testing.assert_allclose(products[1], J[2])
    np.testing.assert_allclose(products[3], J[2] @ J[1] @ J[0])


def test_the_products_of_a_linear_network_grow_with_its_spectral_radius():
    W = normal(5, 5)
    W *= 1.1 / probes.spectral_radius(W)
    J = np.broadcast_to(W, (400, 1, 5, 5))
    rates = probes.growth_rates(J)[0]
    assert rates[0] == pytest.approx(np.log(1.1), abs=0.01)
    np.testing.assert_allclose(rates.sum(), np.log(abs(np.linalg.det(W))), rtol=1e-10)
    assert (np.diff(rates) <= 0).all()
    sigma = probes.singular_values(probes.lag_products(J[:60]))[-1, 0, 0]
    assert np.log(sigma) / 60 == pytest.approx(np.log(1.1), abs=0.05)


def test_an_orthogonal_linear_network_neither_grows_nor_shrinks():
    Q = np.linalg.qr(normal(4, 4))[0]
    J = np.broadcast_to(Q, (50, 2, 4, 4))
    np.testing.assert_allclose(probes.singular_values(probes.lag_products(J)), 1, atol=1e-12)
    np.testing.assert_allclose(probes.growth_rates(J), 0, atol=1e-12)


def test_tanh_shrinks_what_w_alone_would_keep():
    layer = RNN(1, 4, init="orthogonal", rng=0)
    J = probes.jacobians(probes.step_of(layer), 2 * normal(30, 1, 1), np.zeros((1, 4)), method="complex")
    norms = probes.step_gradient_norms(J, np.ones((1, 4)))
    assert norms[-1, 0] < 0.5 * norms[0, 0]


def test_a_step_that_drops_the_imaginary_part_is_told_so():
    def step(x, h):
        return np.tanh(np.abs(h))

    with pytest.raises(TypeError, match="use method='central'"):
        probes.jacobians(step, normal(2, 1, 1), normal(1, 3), method="complex")
    with pytest.raises(ValueError, match="method is 'exact': expected one of central, complex"):
        probes.jacobians(step, normal(2, 1, 1), normal(1, 3), method="exact")
    with pytest.raises(ValueError, match=r"x has shape \(2, 1\): expected \(T, N, D\)"):
        probes.jacobians(step, normal(2, 1), normal(1, 3))
    with pytest.raises(ValueError, match=r"made a state of shape \(1, 2\) from \(1, 3\)"):
        probes.jacobians(lambda x, h: h[:, :2], normal(2, 1, 1), normal(1, 3))


def test_what_a_step_function_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="layer_index is 1"):
        probes.step_of(RNN(2, 3), 1)
    with pytest.raises(ValueError, match="layer_norm and zoneout"):
        probes.step_of(RNN(2, 3, zoneout=0.1))
    with pytest.raises(ValueError, match="each direction"):
        probes.gradient_norms(RNN(2, 3, bidirectional=True), normal(2, 1, 2), normal(2, 1, 3))


class TestGates:
    def test_an_lstm_s_gates_give_its_states_by_the_equations(self):
        layer, x, lengths = LSTM(2, 4, 2, rng=0), normal(6, 3, 2), [6, 0, 4]
        valid = (np.arange(6)[:, None] < lengths)[:, :, None]
        gates = probes.gate_activations(layer, np.where(valid, x, np.nan), None, lengths, layer_index=1)
        assert set(gates) == {"i", "f", "g", "o", "c", "h"}
        output, _, _ = layer.forward(x, None, lengths)
        np.testing.assert_allclose(gates["h"], output, rtol=0, atol=1e-14)
        c_before = np.concatenate([np.zeros((1, 3, 4)), gates["c"][:-1]])
        c = gates["f"] * c_before + gates["i"] * gates["g"]
        np.testing.assert_allclose(gates["c"], c, rtol=0, atol=1e-14)
        np.testing.assert_allclose(gates["h"], gates["o"] * np.tanh(c), rtol=0, atol=1e-14)
        assert not any(values[~valid[:, :, 0]].any() for values in gates.values())

    @pytest.mark.parametrize("reset", ["after", "before"])
    def test_a_gru_s_gates_give_its_states_by_the_equations(self, reset):
        layer, x, h0 = GRU(2, 4, reset=reset, rng=0), normal(6, 3, 2), normal(1, 3, 4)
        gates = probes.gate_activations(layer, x, h0)
        assert set(gates) == {"r", "z", "n", "h"}
        before = np.concatenate([h0, gates["h"][:-1]])
        h = (1 - gates["z"]) * gates["n"] + gates["z"] * before
        np.testing.assert_allclose(gates["h"], h, rtol=0, atol=1e-14)
        np.testing.assert_allclose(gates["h"], layer.forward(x, h0)[0], rtol=0, atol=1e-14)

    def test_a_forget_bias_opens_the_gate(self):
        x = normal(20, 4, 2)
        shares = [
            probes.gate_saturation(probes.gate_activations(LSTM(2, 8, forget_bias=bias, rng=0), x)["f"])
            for bias in (-5.0, 0.0, 5.0)
        ]
        assert shares[0][0] > 0.9
        assert shares[1] < (0.1, 0.1)
        assert shares[2][1] > 0.9

    def test_what_has_no_gates_is_refused(self):
        with pytest.raises(ValueError, match="an RNN has no gates"):
            probes.gate_activations(RNN(2, 3), normal(4, 1, 2))
        with pytest.raises(ValueError, match="plain layer"):
            probes.gate_activations(LSTM(2, 3, bidirectional=True), normal(4, 1, 2))
        with pytest.raises(ValueError, match="layer_index is 2"):
            probes.gate_activations(LSTM(2, 3, 2), normal(4, 1, 2), layer_index=2)


def test_saturation_counts_what_lies_beyond_the_threshold():
    assert probes.saturation(np.array([-0.95, -0.5, 0.0, 0.91])) == 0.5
    assert probes.gate_saturation(np.array([0.05, 0.5, 0.95, 0.99])) == (0.25, 0.5)


class TestSurface:
    def test_a_quadratic_bowl_is_seen_as_one(self):
        centre = {"w": np.array([1.0, 2.0]), "b": np.array([3.0])}
        first, second = {"w": np.array([1.0, 0.0]), "b": np.zeros(1)}, {"w": np.zeros(2), "b": np.array([2.0])}

        def loss(p):
            return ((p["w"] - [1, 2]) ** 2).sum() + ((p["b"] - 3) ** 2).sum()

        surface = probes.loss_surface(loss, centre, first, second, [-1, 0, 2], [0, 1])
        assert surface.loss.tolist() == [[1, 5], [0, 4], [4, 8]]
        assert centre["w"].tolist() == [1, 2]

    def test_the_two_parameter_network_of_pascanu_has_a_cliff(self):
        def loss(p):  # h_50 of h_t = σ-free tanh(w h_{t-1} + b), from h_0 = 0.5
            w, b = p
            h = np.full((1, 1), 0.5)
            for _ in range(50):
                h, _ = rnn.step_forward(np.zeros((1, 1)), h, np.eye(1), np.full((1, 1), w), np.full(1, b), np.zeros(1))
            return float((h[0, 0] - 0.7) ** 2)

        grid = np.linspace(-1, 1, 81)
        surface = probes.loss_surface(loss, np.array([4.0, -1.5]), np.array([1.0, 0]), np.array([0, 1.0]), grid, grid)
        steps = np.abs(np.diff(surface.loss, axis=1))
        assert steps.max() > 1  # from one cell to the next the loss leaps
        assert np.median(steps) < 1e-3  # and nearly everywhere else it is flat

    def test_a_random_direction_is_as_long_as_the_parameters_row_by_row(self):
        parameters = {"W": 3 * normal(4, 5), "b": normal(4)}
        direction = probes.random_direction(parameters, np.random.default_rng(0))
        np.testing.assert_allclose(np.linalg.norm(direction["W"], axis=1), np.linalg.norm(parameters["W"], axis=1))
        assert not direction["b"].any()

    def test_what_does_not_fit_is_explained(self):
        with pytest.raises(ValueError, match="second has shapes"):
            probes.loss_surface(lambda p: 0.0, np.zeros(2), np.zeros(2), np.zeros(3), [0], [0])
        with pytest.raises(ValueError, match=r"a has shape \(\)"):
            probes.loss_surface(lambda p: 0.0, np.zeros(2), np.zeros(2), np.zeros(2), 0, [0])
