"""The gradient checks: right where they promise, loud where they can be, and readable when a gradient is wrong."""

import re

import numpy as np
import pytest

from rnnlib.gradcheck import central_difference, check_gradient, complex_step

X = np.random.default_rng(0).standard_normal((3, 4))


def loss(x):
    return (np.tanh(x) * np.exp(x / 2)).sum()


GRADIENT = np.exp(X / 2) * (1 - np.tanh(X) ** 2 + np.tanh(X) / 2)


def test_both_methods_find_the_known_gradient():
    np.testing.assert_allclose(complex_step(loss, X), GRADIENT, rtol=1e-14)
    np.testing.assert_allclose(central_difference(loss, X), GRADIENT, rtol=1e-8)


def test_neither_method_changes_x():
    before = X.copy()
    complex_step(loss, X)
    central_difference(loss, X)
    assert np.array_equal(X, before)


def test_large_entries_take_larger_steps():
    x = np.array([1e6, 3e6])
    np.testing.assert_allclose(central_difference(lambda v: (v**2).sum(), x), 2 * x, rtol=1e-9)


@pytest.mark.parametrize("method", [complex_step, central_difference])
def test_a_right_gradient_is_reported_right(method):
    report = check_gradient(loss, X, GRADIENT, method=method)
    assert report
    assert report.ok
    assert str(report).startswith("right: largest relative error")


@pytest.mark.parametrize(
    ("gradient", "says"),
    [
        (-GRADIENT, "every entry is -1 times too large"),
        (2 * GRADIENT, "every entry is 2 times too large"),
        (0 * GRADIENT, "zero everywhere"),
        (GRADIENT[0], r"wrong shape: the gradient is \(4,\), x is \(3, 4\)"),
        (np.where(np.arange(12).reshape(3, 4) == 6, np.nan, GRADIENT), r"at \(1, 2\).*not finite"),
        (np.where(np.arange(12).reshape(3, 4) == 6, GRADIENT + 1, GRADIENT), r"wrong: .* at \(1, 2\)"),
    ],
)
def test_a_wrong_gradient_is_reported_and_not_raised(gradient, says):
    report = check_gradient(loss, X, gradient)
    assert not report
    assert re.search(says, str(report)), str(report)


def test_a_small_error_in_a_small_entry_is_measured_against_the_largest():
    gradient = np.array([1.0, 1e-6 + 1e-9])
    report = check_gradient(lambda v: v[0] + 1e-6 * v[1], np.zeros(2), gradient)
    assert report.ok
    assert report.error == pytest.approx(1e-9, rel=1e-3)


def test_a_gradient_that_should_be_zero_and_is():
    report = check_gradient(lambda v: 0 * v.sum(), X, np.zeros_like(X))
    assert report.ok
    assert "should be zero" in str(check_gradient(lambda v: 0 * v.sum(), X, np.ones_like(X)))


def test_a_lost_imaginary_part_is_noticed():
    with pytest.raises(TypeError, match="dropped the imaginary part"):
        complex_step(lambda v: np.abs(v).sum(), X)


def test_float32_is_refused():
    for method in (complex_step, central_difference):
        with pytest.raises(TypeError, match="needs float64"):
            method(loss, X.astype(np.float32))


def test_a_loss_must_be_one_number():
    with pytest.raises(ValueError, match=r"shape \(3, 4\): a loss is one number"):
        central_difference(np.tanh, X)


def test_a_mistake_in_loss_and_gradient_alike_passes_as_documented():
    wrong_loss, wrong_gradient = (lambda v: 3 * loss(v)), 3 * GRADIENT
    assert check_gradient(wrong_loss, X, wrong_gradient).ok
