"""The measured series: what they hold, and that their library is loaded only when one is asked for."""

import subprocess
import sys

import numpy as np
import pytest

from rnnlib.data.series import sunspots


def test_sunspots_are_309_years_with_a_cycle_of_about_eleven():
    pytest.importorskip("statsmodels")
    years, numbers = sunspots()
    assert years.tolist() == list(range(1700, 2009))
    assert numbers.shape == years.shape
    assert numbers.min() >= 0
    swings = numbers - numbers.mean()
    correlation = [swings[:-lag] @ swings[lag:] for lag in range(6, 17)]
    assert 6 + int(np.argmax(correlation)) in (10, 11)


def test_without_statsmodels_the_error_names_the_extra(monkeypatch):
    for name in ("statsmodels", "statsmodels.datasets", "statsmodels.datasets.sunspots"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r'pip install "rnn-notebooks\[data\]"'):
        sunspots()


def test_importing_the_loader_loads_no_library_of_data():
    code = "import sys, rnnlib.data.series; print([m for m in ('statsmodels', 'pandas', 'scipy') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
