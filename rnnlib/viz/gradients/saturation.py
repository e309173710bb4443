"""The explorer of lesson 05 in which tanh itself takes the gradient: what each unit lets through, and what arrives."""

from __future__ import annotations

import functools

import numpy as np

from rnnlib import init, probes
from rnnlib.recurrent import RNN
from rnnlib.viz import Explorer, Heatmap, Panel, Scene, Slider
from rnnlib.viz.gradients.flow import AXIS, arrives, lag_panel

UNITS, LAGS, SEED = 16, 50, 1
ALONE = "W_hh alone"


def explorer() -> Explorer:
    """Slopes of tanh and what arrives by lag, under sliders for the size of the inputs and of W_hh."""
    return Explorer(
        saturated,
        Slider("drive", "size of the inputs", 0.0, 4.0, 0.1, value=0.5),
        Slider("radius", "spectral radius of W_hh", 0.0, 3.0, 0.05, value=1.0),
        title="What tanh lets through",
        description="W_hh is a rotation times the radius: what you see below the dashed line, tanh took.",
    )


@functools.lru_cache(maxsize=256)
def slopes_and_shares(drive: float, radius: float) -> tuple[np.ndarray, np.ndarray, float]:
    """tanh' of every unit at every step (50, 16), what arrives by lag (51,), and the share of saturated units."""
    rng = np.random.default_rng(SEED)
    layer = RNN(1, UNITS, rng=SEED)
    values = rng.standard_normal((UNITS, 1)), init.orthogonal((UNITS, UNITS), rng, gain=radius), 0, 0
    for name, value in zip(layer.names(0), values, strict=True):
        layer.parameters[name][...] = value
    x = drive * rng.standard_normal((LAGS, 1))
    hs, _, _ = layer.forward(x[:, None])
    return 1 - hs[:, 0] ** 2, arrives(layer, x), probes.saturation(hs)


def saturated(drive: float, radius: float) -> Scene:
    """A tanh network whose W_hh is a rotation times the radius, reading noise of this size."""
    slopes, arrived, share = slopes_and_shares(drive, radius)
    factor = arrived[20] ** (1 / 20)
    return Scene(
        [
            Panel(
                [Heatmap(slopes.T, label="slope 1 - h²", limits=(0, 1), x_range=(1, LAGS))],
                "What each unit lets through",
                x_label="time (steps)",
                y_label="unit",
                height=AXIS[2],
            ),
            lag_panel({"with tanh": arrived, ALONE: radius ** np.arange(LAGS + 1)}, "What arrives", dashed=(ALONE,)),
        ],
        alt=f"Inputs of size {drive:g}, spectral radius {radius:g}: {100 * share:.0f} % of the units lie beyond ±0.9, "
        f"and the mean slope of tanh is {slopes.mean():.2f}. A step back multiplies by {factor:.2f}; W_hh alone would "
        f"by {radius:.2f}.",
        columns=2,
    )
