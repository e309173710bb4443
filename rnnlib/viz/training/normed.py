"""Lesson 11's layer norm as a picture: how far back a gradient reaches, with and without it."""

from __future__ import annotations

import numpy as np

from rnnlib.probes.jacobians import gradient_norms
from rnnlib.recurrent import RNN
from rnnlib.viz import Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark

UNITS, STEPS, ROWS = 24, 40, 8  # H, T, N
SCALES = {0.5: "sky", 1.0: "ink", 3.0: "purple"}


def by_lag(scale: float, layer_norm: bool, seed: int = 0) -> np.ndarray:
    """How long the gradient of the last state is, so many steps before it, on average over the batch.

    Args:
        scale: what orthogonal recurrent weights are multiplied with.
        layer_norm: inside the cell.
        seed: of the weights, the inputs and the gradient.

    Returns:
        (STEPS + 1,), by lag, from 1 at lag 0.
    """
    rng = np.random.default_rng(seed)
    layer = RNN(3, UNITS, init="orthogonal", layer_norm=layer_norm, rng=rng)
    layer.parameters["weight_hh_l0"] *= scale
    upstream = rng.normal(size=(1, ROWS, UNITS))
    start = rng.uniform(-0.8, 0.8, size=upstream.shape)  # from zero, LN would divide by a spread of zero
    norms = gradient_norms(layer, rng.normal(size=(STEPS, ROWS, 3)), upstream, start)
    means = norms.mean(axis=tuple(range(1, norms.ndim)))
    return means / means[0]


def reach() -> Scene:
    """The gradient by lag at three scales of the weights, without layer norm and with it."""
    panels = []
    told = []
    for layer_norm in (False, True):
        marks: list[Mark] = []
        for scale, color in SCALES.items():
            norms = by_lag(scale, layer_norm)
            lags = np.arange(len(norms))
            if scale == max(SCALES):  # where all three agree, all three can be seen
                marks.append(Dots(lags[::3], norms[::3], f"{scale:g} W", color))
            else:
                marks.append(Line(lags, norms, f"{scale:g} W", color, dashed=scale == 1))
            told.append(f"{'with' if layer_norm else 'without'}, {scale:g} W: {norms[20]:.1g}")
        title = "With layer norm" if layer_norm else "Without"
        panels.append(Panel(marks, title, "lag (steps)", "‖∂L / ∂h‖, 1 at lag 0", y_limits=(1e-16, 1e6),
                            y_scale="log", height=280))  # fmt: skip
    return Scene(panels, f"Gradient norm 20 steps back, of 1: {'; '.join(told)}.", columns=2)
