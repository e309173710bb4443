"""The RNN layer object: names, depth, direction, carried state; what it keeps and what it does not."""

import numpy as np
import pytest

from rnnlib.cells import rnn
from rnnlib.gradcheck import check_gradient
from rnnlib.recurrent import RNN


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


@pytest.mark.parametrize("num_layers", [1, 3])
def test_two_windows_with_carried_state_equal_one_long_run(num_layers):
    layer, x, h0 = RNN(3, 4, num_layers, rng=0), normal(10, 2, 3), normal(num_layers, 2, 4)
    output, h_n, _ = layer.forward(x, h0)
    first, carried, _ = layer.forward(x[:6], h0)
    second, last, _ = layer.forward(x[6:], carried)
    np.testing.assert_allclose(np.concatenate([first, second]), output, rtol=0, atol=1e-14)
    np.testing.assert_allclose(last, h_n, rtol=0, atol=1e-14)


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


@pytest.mark.parametrize("lengths", [None, [5, 0, 3]])
def test_gradients_of_a_stacked_bidirectional_layer_agree_with_the_loss(lengths):
    layer, x, h0 = RNN(2, 3, 2, bidirectional=True, rng=0), normal(5, 3, 2), normal(4, 3, 3)
    doutput, dh_n = normal(5, 3, 6, seed=1), normal(4, 3, 3, seed=2)

    def loss(x=x, h0=h0, **changed):
        probe = RNN(2, 3, 2, bidirectional=True)
        probe.parameters = {**layer.parameters, **changed}
        output, h_n, _ = probe.forward(x, h0, lengths)
        return (output * doutput).sum() + (h_n * dh_n).sum()

    _, _, cache = layer.forward(x, h0, lengths)
    dx, dh0, gradients = layer.backward(doutput, dh_n, cache)
    assert check_gradient(lambda v: loss(x=v), x, dx, tolerance=1e-12).ok
    assert check_gradient(lambda v: loss(h0=v), h0, dh0, tolerance=1e-12).ok
    assert list(gradients) == list(layer.parameters)
    for name, value in layer.parameters.items():
        report = check_gradient(lambda v, name=name: loss(**{name: v}), value, gradients[name], tolerance=1e-12)
        assert report.ok, f"{name}: {report}"


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


def test_a_wrong_argument_is_explained():
    layer, x = RNN(3, 4, 2), normal(5, 2, 3)
    with pytest.raises(ValueError, match=r"x has shape \(5, 3\).*input_size = 3"):
        layer.forward(x[:, 0])
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
