"""The pictures and the explorers of lesson 05 in which a gradient travels back: how much of it arrives, by lag.

Of a gradient of length 1 at the last state h_T, in a direction drawn at random, this much arrives k steps earlier (root
mean square over all directions): the Frobenius norm of ∂h_T/∂s_{T-k} over √H. s is all that a step hands on: h, and for
an LSTM h and c.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from rnnlib import probes
from rnnlib.recurrent import GRU, LSTM, RNN
from rnnlib.recurrent.stack import Stack
from rnnlib.viz import Band, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark
from rnnlib.viz.unrolling.recurrence import random_weights

UNITS, OWN_UNITS, LAGS, SEED = 16, 8, 50, 1
AXIS = 1e-8, 1e4, 300  # of shares that arrive: from, to, pixels high
COLORS = {"RNN": "vermillion", "GRU": "green", "LSTM": "blue"}
Step = Callable[[np.ndarray, Any], Any]


# ---- numbers -----------------------------------------------------------------------------------------------------


def arrives(layer: Stack, x: np.ndarray) -> np.ndarray:
    """How much of a gradient at the last state arrives, by lag, from the cell's own steps back.

    Args:
        layer: an RNN, GRU or LSTM of one layer, with nothing around its cell; it starts from zero.
        x: (T, D), one sequence.

    Returns:
        (T + 1,), 1 at lag 0.
    """
    H = layer.hidden_size
    weights = [layer.parameters[name] for name in layer.names(0)]
    states, caches = [np.zeros((H, H)) for _ in layer.state_names], []
    for x_t in x:  # the same sequence H times
        *states, cache = layer.cell.step_forward(np.tile(x_t, (H, 1)), *states, *weights, **layer.cell_options())
        caches.append(cache)
    # and a gradient of its own for each: together the rows are ∂h_T/∂s_{T-k}
    back = [np.eye(H), *(np.zeros((H, H)) for _ in layer.state_names[1:])]
    products = [np.hstack(back)]
    for cache in reversed(caches):
        gradients = layer.cell.step_backward(*back, cache)
        back = [getattr(gradients, f"d{name}") for name in layer.state_names]
        products.append(np.hstack(back))
    return _size(np.array(products))


def arrives_through(step: Step, x: np.ndarray, state: Any) -> np.ndarray:
    """The same through any step function, (x (N, D), state) -> state, by numerical Jacobians.

    Args:
        step: a learner's, say; see `rnnlib.probes`.
        x: (T, D), one sequence.
        state: the initial one, (1, H), or a tuple of such of which the first is h.

    Returns:
        (T + 1,), 1 at lag 0.
    """
    H = (state[0] if isinstance(state, tuple) else state).shape[1]
    return _size(probes.lag_products(probes.jacobians(step, x[:, None], state))[:, 0, :H])


def _size(products: np.ndarray) -> np.ndarray:
    """‖P‖_F / √H of every P in (T + 1, H, S)."""
    return np.sqrt((products**2).sum(axis=(1, 2)) / products.shape[1])


def reach(arrived: np.ndarray, share: float = 0.01) -> int:
    """The longest lag, among those of arrived (T + 1,), up to which at least a share arrives."""
    below = np.flatnonzero(~(arrived >= share))
    return int(below[0]) - 1 if len(below) else len(arrived) - 1


# ---- plots -------------------------------------------------------------------------------------------------------


def by_lag(
    curves: Mapping[str, np.ndarray],
    title: str = "",
    least: float = AXIS[0],
    most: float = AXIS[1],
    height: int = AXIS[2],
) -> Scene:
    """How much arrives against the lag, a line for each name.

    Args:
        curves: at most six, by name, (T + 1,); or (seeds, T + 1), drawn as their median in a band from least to most.
        title: of the panel.
        least, most: the ends of the axis.
        height: in pixels.
    """
    lines = {name: np.median(np.atleast_2d(values), axis=0) for name, values in curves.items()}
    spoken = "; ".join(f"{name}: {values[-1]:.1e} at lag {len(values) - 1}" for name, values in lines.items())
    return Scene([lag_panel(curves, title, least, most, height)], alt=f"How much of a gradient arrives. {spoken}.")


def lag_panel(
    curves: Mapping[str, np.ndarray],
    title: str,
    least: float = AXIS[0],
    most: float = AXIS[1],
    height: int = AXIS[2],
    dashed: tuple[str, ...] = (),
) -> Panel:
    """The panel of `by_lag`; names in dashed are drawn in grey, for comparison."""
    colors = iter(("vermillion", "orange", "green", "blue", "purple", "sky"))
    marks: list[Mark] = []
    lags = 0
    for name, values in curves.items():
        seeds = np.atleast_2d(values)
        lags = max(lags, seeds.shape[1] - 1)
        x, color = np.arange(seeds.shape[1]), "grey" if name in dashed else COLORS.get(name) or next(colors)
        if len(seeds) > 1:
            low, high = (np.clip(end, least, most) for end in (seeds.min(axis=0), seeds.max(axis=0)))
            marks.append(Band(x, low, high, color=color))
        marks.append(Line(x, _seen(np.median(seeds, axis=0), least, most), name, color, dashed=name in dashed))
    return Panel(
        marks, title, x_label="lag k (steps before the loss)", y_label="what arrives of length 1", x_limits=(0, lags),
        y_scale="log", y_limits=(least, most), height=height,
    )  # fmt: skip


def _seen(values: np.ndarray, least: float, most: float) -> np.ndarray:
    """Values with a gap from the second on that is beyond the axis, so that a line ends at its edge."""
    beyond = ~((values >= least) & (values <= most))
    gone = beyond & np.append(True, beyond[:-1])
    return np.where(gone, np.nan, np.clip(values, least, most))


# ---- explorers ---------------------------------------------------------------------------------------------------


def explorer(bias: float = 0.0) -> Explorer:
    """How much arrives by lag through an RNN, a GRU and an LSTM, under a slider for the spectral radius."""
    return Explorer(
        three_cells,
        Slider("radius", "spectral radius", 0.0, 2.0, 0.05, value=0.9),
        Slider("bias", "bias of the gates f (LSTM) and z (GRU)", -2.0, 6.0, 0.5, value=bias),
        Slider("drive", "size of the inputs", 0.0, 3.0, 0.1, value=0.5),
        title="How much of the gradient arrives?",
        description="Find a radius at which the RNN neither fades nor explodes. Then leave the radius, and move the "
        "bias of the gates that hold the state.",
    )


def three_cells(radius: float, bias: float, drive: float) -> Scene:
    """The three cells, untrained, with recurrent weights of one spectral radius (each gate's own), reading noise."""
    arrived = _arrived(radius, bias, drive)
    power = f"{radius:g} to the power k"
    panel = lag_panel(
        arrived | {power: radius ** np.arange(LAGS + 1)}, f"Untrained networks of {UNITS} units", dashed=(power,)
    )
    spoken = [f"{name} {a[20]:.2g} (1 % reaches back {_steps(reach(a))})" for name, a in arrived.items()]
    return Scene(
        [panel],
        alt=f"Spectral radius {radius:g}, gate bias {bias:g}, inputs of size {drive:g}. Of a gradient at the last "
        f"step, 20 steps earlier arrive: {', '.join(spoken)}.",
    )


@functools.lru_cache(maxsize=256)
def _arrived(radius: float, bias: float, drive: float) -> dict[str, np.ndarray]:
    x = drive * np.random.default_rng(SEED).standard_normal((LAGS, 1))
    return {name: arrives(cell(kind, radius, bias), x) for name, kind in (("RNN", RNN), ("GRU", GRU), ("LSTM", LSTM))}


def cell(kind: type[Stack], radius: float, bias: float = 0.0, units: int = UNITS) -> Stack:
    """A layer with one input, each gate's recurrent weights of one spectral radius, biases zero but for the gate that
    holds the state: f of an LSTM, z of a GRU."""
    layer = kind(1, units, rng=SEED)
    gates = [random_weights(1, units, radius, SEED + gate, input_scale=1.0) for gate in range(layer.cell.GATES)]
    for name, values in zip(layer.names(0), zip(*gates, strict=True), strict=True):
        layer.parameters[name][...] = np.concatenate(values)
    if layer.cell.GATES > 1:  # i, f, g, o and r, z, n: the second of both
        layer.parameters["bias_ih_l0"][units : 2 * units] = bias
    return layer


def own_explorer(step: Callable[..., Any]) -> Explorer:
    """A learner's own cell beside the tanh network with the same weights, under a slider for the spectral radius.

    Args:
        step: (x (N, D), h (N, H), W_ih, W_hh, b_ih, b_hh) -> h_next, or (h_next, cache) as in problem set 1.
    """
    return Explorer(
        partial(own, step),
        Slider("radius", "spectral radius of W_hh", 0.0, 2.0, 0.05, value=0.9),
        Slider("drive", "size of the inputs", 0.0, 3.0, 0.1, value=0.5),
        title="Your step, on the way back",
        description="Measured by moving every unit of every state a little, so any step function will do.",
    )


def own(step: Callable[..., Any], radius: float, drive: float) -> Scene:
    """How much arrives through a learner's step and through tanh, with the same weights."""
    plain, x = _plain(radius, drive)
    curves = {"your step": through(step, radius, drive)[0], "tanh": arrives(plain, x)}
    spoken = ", ".join(f"through {name} {values[20]:.2g}" for name, values in curves.items())
    return Scene(
        [lag_panel(curves, f"The same weights, {OWN_UNITS} units", dashed=("tanh",))],
        alt=f"Spectral radius {radius:g}. Of a gradient at the last step, 20 steps earlier arrive {spoken}.",
    )


def through(step: Callable[..., Any], radius: float = 0.9, drive: float = 0.5) -> tuple[np.ndarray, float]:
    """What a learner's step lets through, and whether it still hears anything.

    Args:
        step: as in `own_explorer`.
        radius: the spectral radius of W_hh.
        drive: the standard deviation of the inputs.

    Returns:
        arrived: (51,), as `arrives` gives it.
        heard: how far the last input moves the last state, per unit of input, root mean square over the units.
    """
    plain, x = _plain(radius, drive)

    def bound(x_t: np.ndarray, h: np.ndarray) -> np.ndarray:
        after = step(x_t, h, *plain.parameters.values())
        return np.asarray(after[0] if isinstance(after, tuple) else after, dtype=float)

    h = np.zeros((1, OWN_UNITS))
    for x_t in x[:-1]:
        h = bound(x_t[None], h)
    moved = bound(x[-1:] + 0.5, h) - bound(x[-1:] - 0.5, h)
    return arrives_through(bound, x, np.zeros((1, OWN_UNITS))), float(np.sqrt((moved**2).mean()))


def _plain(radius: float, drive: float) -> tuple[RNN, np.ndarray]:
    """The tanh network that a learner's step is compared with, and the inputs, (50, 1)."""
    layer = cell(RNN, radius, units=OWN_UNITS)
    assert isinstance(layer, RNN)
    return layer, drive * np.random.default_rng(SEED).standard_normal((LAGS, 1))


def _steps(lag: int) -> str:
    return f"{lag} steps" + (" or more" if lag == LAGS else "")
