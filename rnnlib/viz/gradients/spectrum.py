"""The pictures and the explorer of lesson 05 in which Jacobians are taken apart: eigenvalues of one recurrent matrix,
singular values of the product of many steps.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from rnnlib import init, probes
from rnnlib.recurrent import RNN
from rnnlib.viz import Choice, Dots, Explorer, Heatmap, Line, Panel, Scene, Slider, Toggle
from rnnlib.viz.scene import Mark
from rnnlib.viz.unrolling.recurrence import random_weights

UNITS, LAGS, SEED = 16, 40, 1
GAUSSIAN, ORTHOGONAL, CHAINS = "Gaussian", "orthogonal", "chains"
KINDS = GAUSSIAN, ORTHOGONAL, CHAINS
CHAIN = 4  # units of a chain


def matrix(kind: str, radius: float) -> np.ndarray:
    """W_hh (16, 16) with this spectral radius.

    Args:
        kind: "Gaussian", random numbers; "orthogonal", a rotation times the radius; "chains", of four
            units, each of which hears itself, as loud as the radius, and the next: all eigenvalues are equal.
        radius: the largest |eigenvalue|.
    """
    if kind == CHAINS:
        return np.kron(np.eye(UNITS // CHAIN), radius * np.eye(CHAIN) + np.eye(CHAIN, k=1))
    if kind == ORTHOGONAL:
        return init.orthogonal((UNITS, UNITS), np.random.default_rng(SEED), gain=radius)
    return random_weights(1, UNITS, radius, seed=SEED)[1]


@functools.lru_cache(maxsize=256)
def products(kind: str, radius: float, tanh: bool) -> np.ndarray:
    """∂h_T/∂h_{T-k} for k = 0 to 40, (41, 16, 16), of an untrained network that reads noise.

    Args:
        kind, radius: of `matrix`.
        tanh: False: no nonlinearity, so that every Jacobian is W_hh itself.
    """
    W_hh = matrix(kind, radius)
    if not tanh:
        return probes.lag_products(np.broadcast_to(W_hh, (LAGS, 1, UNITS, UNITS)))[:, 0]
    layer, rng = RNN(1, UNITS, rng=SEED), np.random.default_rng(SEED)
    W_ih = rng.standard_normal((UNITS, 1))
    for name, value in zip(layer.names(0), (W_ih, W_hh, 0, 0), strict=True):
        layer.parameters[name][...] = value
    hs, _, _ = layer.forward(0.5 * rng.standard_normal((LAGS, 1, 1)))
    # J_t = diag(1 - h_t²) W_hh
    return probes.lag_products((1 - hs**2)[..., None] * W_hh)[:, 0]


# ---- the explorer ------------------------------------------------------------------------------------------------


def explorer(kind: str = GAUSSIAN) -> Explorer:
    """Eigenvalues of W_hh, and the singular values of what k steps do to a gradient."""
    return Explorer(
        spectrum,
        Slider("radius", "spectral radius of W_hh", 0.0, 1.6, 0.05, value=1.0),
        Choice("kind", "W_hh", KINDS, kind),
        Toggle("tanh", "with tanh", False),
        Slider("lag", "lag k", 1, LAGS, 1, value=10, unit="steps", steps_per_second=4),
        title="What do k steps do to a gradient?",
        description="Play the lag at radius 1, for each kind of W_hh. How many of the sixteen directions are left?",
    )


def spectrum(radius: float, kind: str, tanh: bool, lag: int) -> Scene:
    """Eigenvalues, singular values by lag and at one lag, and the product itself."""
    P = products(kind, radius, tanh)
    sigmas, values = probes.singular_values(P), np.linalg.eigvals(matrix(kind, radius))
    now, network = sigmas[lag], f"W_hh {kind}, spectral radius {radius:g}"
    left = int((now > 0.01).sum())
    return Scene(
        [_eigenvalues(values), _product(P[lag], lag), _fan(sigmas, lag), _staircase(now, lag)],
        alt=f"{network}, with{'' if tanh else 'out'} tanh. After {lag} steps the singular values of the product run "
        f"from {now[0]:.2g} down to {now[-1]:.2g}; {left} of {UNITS} directions keep at least 1 %.",
        columns=2,
    )


def _eigenvalues(values: np.ndarray) -> Panel:
    circle = np.linspace(0, 2 * np.pi, 90)
    return Panel(
        [Line(np.cos(circle), np.sin(circle), "circle of radius 1", "grey", dashed=True),
         Dots(values.real, values.imag, "eigenvalues of W_hh", "purple", size=7)],
        "One step", x_label="real part", y_label="imaginary part", x_limits=(-1.7, 1.7), y_limits=(-1.7, 1.7),
        equal=True, height=300,
    )  # fmt: skip


def _product(P: np.ndarray, lag: int) -> Panel:
    largest = float(np.abs(P).max())
    shown = P / largest if largest > 0 else P
    return Panel(
        [Heatmap(shown, label=f"over its largest, {largest:.2g}", limits=(-1, 1))],
        f"The product of {lag} steps",
        x_label="unit, k steps earlier",
        y_label="unit, at the end",
        height=300,
    )


def _fan(sigmas: np.ndarray, lag: int) -> Panel:
    lags = np.arange(len(sigmas))
    low, high = 1e-8, 1e6
    marks: list[Mark] = [
        Line(lags, _on_axis(sigmas[:, j], low, high), name, color)
        for j, name, color in ((0, "largest", "vermillion"), (UNITS // 2, "middle", "green"), (-1, "smallest", "blue"))
    ]
    marks.append(Line([lag, lag], [low, high], color="ink", dashed=True))
    return Panel(
        marks, "Singular values of the product, by lag", x_label="lag k (steps)", y_label="stretched by", y_scale="log",
        x_limits=(0, LAGS), y_limits=(low, high), height=270,
    )  # fmt: skip


def _staircase(now: np.ndarray, lag: int) -> Panel:
    order = np.arange(1, UNITS + 1)
    return Panel(
        [Line([0, UNITS + 1], [1, 1], color="grey", dashed=True),
         Dots(order, _on_axis(now, 1e-8, 1e6), color="vermillion", size=8)],
        f"All sixteen, after {lag} steps", x_label="singular value, largest first", y_label="stretched by",
        y_scale="log", x_limits=(0, UNITS + 1), y_limits=(1e-8, 1e6), height=270,
    )  # fmt: skip


def _on_axis(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.where((values >= low) & (values <= high), values, np.nan)


# ---- plots -------------------------------------------------------------------------------------------------------


def staircases(sigmas: Mapping[str, np.ndarray], title: str) -> Scene:
    """Singular values, largest first, a series for each name.

    Args:
        sigmas: by name, (S,).
        title: of the panel.
    """
    marks: list[Mark] = []
    for (name, values), color in zip(sigmas.items(), ("vermillion", "orange", "green", "blue", "purple"), strict=False):
        order, shown = np.arange(1, len(values) + 1), _on_axis(values, 1e-12, 1e6)
        marks += [Line(order, shown, name, color), Dots(order, shown, color=color, size=4)]
    spoken = "; ".join(f"{name} from {values[0]:.1e} to {values[-1]:.1e}" for name, values in sigmas.items())
    panel = Panel(
        marks, title, x_label="singular value, largest first", y_label="stretched by", y_scale="log",
        y_limits=(1e-12, 10), height=290,
    )  # fmt: skip
    return Scene([panel], alt=f"Singular values, largest first. {spoken}.")
