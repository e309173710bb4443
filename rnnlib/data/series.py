"""Time series that were measured. They come from statsmodels and PyWavelets, without a network.

Source and licence of each stand in `rnnlib.data.datasets`.
"""

import numpy as np

from rnnlib.data.libraries import optional


def sunspots() -> tuple[np.ndarray, np.ndarray]:
    """Yearly sunspot numbers, 1700 to 2008: 309 years with a cycle of about eleven.

    Returns:
        years: (309,), whole numbers.
        numbers: (309,), the sunspot number of each year, float64.

    Raises:
        ImportError: statsmodels is not installed; the message names the extra.
    """
    table = optional("statsmodels.datasets.sunspots", "the sunspot numbers").load_pandas().data
    return table["YEAR"].to_numpy(np.int64), table["SUNACTIVITY"].to_numpy(np.float64)


def co2(*, hold_missing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Weekly CO2 in the air above Mauna Loa, 1958 to 2001: a trend and a year's cycle, 2284 weeks, 59 not measured.

    Args:
        hold_missing: a week that was not measured has the value of the last one that was: the past fills the gap, never
            the future. False: it is NaN.

    Returns:
        weeks: (2284,), datetime64[D], Saturdays.
        ppmv: (2284,), parts per million by volume, float64.

    Raises:
        ImportError: statsmodels is not installed; the message names the extra.
    """
    table = optional("statsmodels.datasets.co2", "the CO2 measurements").load_pandas().data
    ppmv = table["co2"].to_numpy(np.float64)
    if hold_missing:
        measured = np.where(np.isnan(ppmv), 0, np.arange(len(ppmv)))
        ppmv = ppmv[np.maximum.accumulate(measured)]
    return table.index.to_numpy().astype("datetime64[D]"), ppmv.copy()


def elnino() -> tuple[np.ndarray, np.ndarray]:
    """Monthly temperature of the sea off Peru (0 to 10° S, 90 to 80° W), 1950 to 2010: seasons, and El Niño years.

    Returns:
        months: (732,), datetime64[M].
        celsius: (732,), degrees, float64.

    Raises:
        ImportError: statsmodels is not installed; the message names the extra.
    """
    table = optional("statsmodels.datasets.elnino", "the sea temperatures").load_pandas().data
    celsius = table.drop(columns="YEAR").to_numpy(np.float64).reshape(-1)
    first = np.datetime64(f"{int(table['YEAR'].iloc[0])}-01", "M")
    return first + np.arange(len(celsius)), celsius


def ecg() -> np.ndarray:
    """An electrocardiogram: 1024 samples, three heartbeats of one person.

    PyWavelets documents neither the person, nor the device, nor the sampling rate, nor the unit: good for the shape of
    a heartbeat, not for a statement about medicine.

    Returns:
        (1024,), float64.

    Raises:
        ImportError: PyWavelets is not installed; the message names the extra.
    """
    return optional("pywt.data", "the electrocardiogram").ecg().astype(np.float64)
