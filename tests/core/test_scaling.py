"""Scaling: fitted on training data only, blind to padding, and reversible."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib.data.scaling import fit_min_max, fit_standard

SETTINGS = settings(derandomize=True, deadline=None, max_examples=60)
FITS = [fit_standard, fit_min_max]
RNG = np.random.default_rng(0)
BATCH, LENGTHS = RNG.standard_normal((6, 4, 3)) * [1, 10, 100] + [0, -5, 1000], np.array([6, 0, 2, 5])
PADDING = np.arange(6)[:, None] >= LENGTHS


@SETTINGS
@given(st.sampled_from(FITS), st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.integers(0, 99))
def test_the_inverse_undoes_the_scaling(fit, T, N, D, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, N, D)) * 10.0 ** rng.integers(-3, 4, D) + rng.normal(0, 100, D)
    lengths = rng.integers(0, T + 1, N)
    lengths[0] = T
    scaling = fit(x, lengths)
    back = scaling.inverse(scaling.transform(x, lengths), lengths)
    padding = np.arange(T)[:, None] >= lengths
    np.testing.assert_allclose(back[~padding], x[~padding], rtol=1e-12, atol=1e-10)
    assert not back[padding].any()


def test_the_standard_scaling_gives_mean_zero_and_deviation_one_to_what_is_valid():
    rows = fit_standard(BATCH, LENGTHS).transform(BATCH, LENGTHS)[~PADDING]
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(rows.std(axis=0), 1, rtol=1e-13)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (2, 5)])
def test_the_min_max_scaling_fills_its_range_and_no_more(low, high):
    rows = fit_min_max(BATCH, LENGTHS, low=low, high=high).transform(BATCH, LENGTHS)[~PADDING]
    np.testing.assert_allclose(rows.min(axis=0), low, atol=1e-12)
    np.testing.assert_allclose(rows.max(axis=0), high, atol=1e-12)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("filler", [np.nan, np.inf, 1e9])
def test_padding_never_counts_whatever_stands_in_it(fit, filler):
    padded = np.where(PADDING[:, :, None], filler, BATCH)
    scaling, expected = fit(padded, LENGTHS), fit(BATCH[~PADDING])
    assert np.array_equal(scaling.shift, expected.shift)
    assert np.array_equal(scaling.scale, expected.scale)
    for result in (scaling.transform(padded, LENGTHS), scaling.inverse(padded, LENGTHS)):
        assert np.array_equal(result[PADDING], np.zeros((PADDING.sum(), 3)))
        assert np.isfinite(result).all()


@pytest.mark.parametrize("fit", FITS)
def test_later_data_is_scaled_by_the_training_data_s_numbers(fit):
    train, later = np.array([[0.0], [2.0]]), np.array([[4.0], [-6.0]])
    scaling = fit(train)
    assert scaling.transform(later).tolist() == ([[3], [-7]] if fit is fit_standard else [[2], [-3]])
    assert scaling.transform(train)[0] == scaling.transform(np.concatenate([train, later]))[0]


@pytest.mark.parametrize(("fit", "value"), [(fit_standard, 0), (fit_min_max, 0)])
@pytest.mark.parametrize("constant", [0.1, 0.0, 1e8 + 0.3])
def test_a_constant_column_becomes_a_constant_and_never_noise(fit, value, constant):
    x = np.stack([np.full(7, constant), np.arange(7.0)], axis=1)
    scaling = fit(x)
    assert (scaling.transform(x)[:, 0] == value).all()
    assert scaling.scale[0] == 1
    assert (scaling.inverse(scaling.transform(x))[:, 0] == constant).all()


def test_a_constant_column_becomes_the_low_end_of_a_range():
    x = np.full((4, 1), 7.0)
    assert fit_min_max(x, low=-1, high=1).transform(x).tolist() == [[-1]] * 4


@pytest.mark.parametrize("fit", FITS)
def test_a_series_without_columns_has_one_shift_and_one_scale(fit):
    series = np.array([1.0, 2.0, 4.0])
    scaling = fit(series)
    assert scaling.shift.shape == scaling.scale.shape == ()
    assert np.array_equal(scaling.transform(series), fit(series[:, None]).transform(series[:, None])[:, 0])


@pytest.mark.parametrize("fit", FITS)
def test_float32_stays_float32_and_its_statistics_are_taken_in_float64(fit):
    x = (np.random.default_rng(1).uniform(-0.1, 1, (50_000, 1)) + np.array([0, 4096])).astype(np.float32)
    scaling, exact = fit(x), fit(x.astype(np.float64))
    assert scaling.transform(x).dtype == scaling.inverse(x).dtype == np.float32
    assert scaling.shift.dtype == scaling.scale.dtype == np.float64
    assert np.array_equal(scaling.shift, exact.shift)
    assert np.array_equal(scaling.scale, exact.scale)


def test_a_scaling_is_frozen():
    scaling = fit_standard(BATCH)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scaling.shift = np.zeros(3)
    for array in (scaling.shift, scaling.scale):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_missing_value_is_an_error_that_says_where(fit, bad):
    x = BATCH.copy()
    x[1, 2, 0] = bad
    with pytest.raises(ValueError, match=r"1 values that are NaN or infinite, the first at index \(1, 2, 0\)"):
        fit(x, LENGTHS)
    with pytest.raises(ValueError, match="fill missing values from the past only"):
        fit(BATCH).transform(x)
    with pytest.raises(ValueError, match=r"the first at index \(1,\)"):
        fit(np.array([0.0, bad, 1.0]))


@pytest.mark.parametrize(
    ("x", "lengths", "error", "says"),
    [
        (np.arange(6).reshape(3, 2), None, TypeError, "the data is int64: expected a floating array"),
        ([[1.0], [2.0]], None, TypeError, "the data is list"),
        (np.zeros((2, 2, 2, 2)), None, ValueError, r"expected \(T,\), \(T, D\) or \(T, N, D\)"),
        (np.zeros((4, 3)), [4, 4, 4], ValueError, r"\(T, N, D\) where lengths are given"),
        (np.zeros((4, 2, 3)), [0, 0], ValueError, "no valid position"),
        (np.zeros((0, 3)), None, ValueError, "no valid position"),
        (np.zeros((4, 2, 3)), [5, 1], ValueError, "each must lie in 0 to T = 4"),
    ],
)
@pytest.mark.parametrize("fit", FITS)
def test_data_that_cannot_be_scaled_is_explained(fit, x, lengths, error, says):
    with pytest.raises(error, match=says):
        fit(x, lengths)


@pytest.mark.parametrize("fit", FITS)
def test_other_columns_than_those_it_was_fitted_on_are_refused(fit):
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 3\)"):
        fit(BATCH).transform(BATCH[:, :, :2])
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 3\)"):
        fit(BATCH).inverse(BATCH[:, 0, 0])
    with pytest.raises(ValueError, match=r"expected \(T,\)"):
        fit(np.arange(3.0)).transform(BATCH)


def test_a_range_has_a_low_and_a_high_end():
    with pytest.raises(ValueError, match="low must be below high"):
        fit_min_max(BATCH, low=1, high=1)
