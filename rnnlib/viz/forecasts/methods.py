"""How every method, and every kind of interval, looks, in all pictures of the lesson."""

from __future__ import annotations

COLORS = {
    "naive": "grey",
    "seasonal naive": "ink",
    "ETS": "sky",
    "ARIMA": "blue",
    "RNN, changes": "orange",
    "GRU, changes": "vermillion",
    "GRU, levels": "purple",
    "residuals seen": "purple",
    "residuals held out": "vermillion",
    "ARIMA's own": "blue",
}
DASHED = "naive", "seasonal naive"
