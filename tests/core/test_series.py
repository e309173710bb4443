"""The measured series: what they hold, and that their library is loaded only when one is asked for."""

import subprocess
import sys

import numpy as np
import pytest

from rnnlib.data.series import co2, ecg, elnino, sunspots


def test_sunspots_are_309_years_with_a_cycle_of_about_eleven():
    pytest.importorskip("statsmodels")
    years, numbers = sunspots()
    assert years.tolist() == list(range(1700, 2009))
    assert numbers.shape == years.shape
    assert numbers.min() >= 0
    swings = numbers - numbers.mean()
    correlation = [swings[:-lag] @ swings[lag:] for lag in range(6, 17)]
    assert 6 + int(np.argmax(correlation)) in (10, 11)


def test_co2_rises_every_decade_and_every_week_follows_the_last():
    pytest.importorskip("statsmodels")
    weeks, ppmv = co2()
    assert (len(weeks), str(weeks[0]), str(weeks[-1])) == (2284, "1958-03-29", "2001-12-29")
    assert (np.diff(weeks) == np.timedelta64(7, "D")).all()
    assert 310 < ppmv.min() < ppmv.max() < 380
    assert (np.diff([part.mean() for part in np.array_split(ppmv, 5)]) > 5).all()


def test_a_week_of_co2_that_was_not_measured_knows_only_the_past():
    pytest.importorskip("statsmodels")
    held, measured = co2()[1], co2(hold_missing=False)[1]
    missing = np.isnan(measured)
    assert missing.sum() == 59
    assert np.array_equal(held[~missing], measured[~missing])
    assert np.array_equal(held[missing], held[np.flatnonzero(missing) - 1])


def test_the_sea_off_peru_has_732_months_and_is_warmest_in_march():
    pytest.importorskip("statsmodels")
    months, celsius = elnino()
    assert (str(months[0]), str(months[-1]), len(celsius)) == ("1950-01", "2010-12", 732)
    assert np.argmax(celsius.reshape(61, 12).mean(axis=0)) == 2
    assert celsius[0] == 23.11


def test_the_electrocardiogram_has_three_beats():
    pytest.importorskip("pywt")
    samples = ecg()
    assert (samples.shape, samples.dtype) == ((1024,), np.float64)
    high = samples > samples.max() / 2
    assert np.flatnonzero(high[1:] & ~high[:-1]) == pytest.approx([190, 518, 848], abs=6)


@pytest.mark.parametrize(
    ("loader", "library"), [(sunspots, "statsmodels"), (co2, "statsmodels"), (elnino, "statsmodels"), (ecg, "pywt")]
)
def test_without_its_library_the_error_names_the_extra(loader, library, monkeypatch):
    for name in [library, *(name for name in sys.modules if name.startswith(f"{library}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf'the library {library}: pip install "rnn-notebooks\[data\]"'):
        loader()


def test_importing_the_loader_loads_no_library_of_data():
    code = "import sys, rnnlib.data.series; print([m for m in ('statsmodels', 'pandas', 'scipy') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
