"""Time series that were measured, each with its source and licence. They come from statsmodels, without a network."""

import numpy as np


def sunspots() -> tuple[np.ndarray, np.ndarray]:
    """Yearly sunspot numbers, 1700 to 2008: 309 years with a cycle of about eleven.

    Source: the National Geophysical Data Center, http://www.ngdc.noaa.gov/stp/solar/solarda3.html, as packaged in
    `statsmodels.datasets.sunspots`. Licence, as statsmodels documents it: "This data is public domain."

    Returns:
        years: (309,), whole numbers.
        numbers: (309,), the sunspot number of each year, float64.

    Raises:
        ImportError: statsmodels is not installed; the message names the extra.
    """
    try:
        from statsmodels.datasets import sunspots as dataset
    except ImportError as error:
        raise ImportError('the sunspot numbers come with statsmodels: pip install "rnn-notebooks[data]"') from error
    table = dataset.load_pandas().data
    return table["YEAR"].to_numpy(np.int64), table["SUNACTIVITY"].to_numpy(np.float64)
