"""Lesson 11's dropped states: a network without input that has only to hold what it started with."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnnlib.recurrent import GRU, RNN
from rnnlib.recurrent.scan import ScanCache
from rnnlib.recurrent.stack import Stack
from rnnlib.studies.regularisation import RedrawnCache, RedrawnGRU, RedrawnRNN
from rnnlib.viz import Choice, Dots, Explorer, Heatmap, Line, Panel, Scene, Slider

METHODS = {"nothing": "grey", "recurrent dropout": "vermillion", "variational dropout": "blue", "zoneout": "green"}
CELLS = "RNN", "GRU"
UNITS, STEPS, TRIES = 12, 30, 200  # H, T, N


class Traces(NamedTuple):
    """What became of many starts.

    Attributes:
        states: (STEPS + 1, TRIES, UNITS), h_0 first.
        acts: (STEPS, UNITS), for the first start: 1 where a unit is passed on as usual, 0 where it was dropped or held.
    """

    states: np.ndarray
    acts: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """(STEPS + 1,): the correlation of h_t with h_0, over all units and starts; 0 where h_t is all zero."""
        start = self.states[0].ravel()
        flat = self.states.reshape(len(self.states), -1)
        size = np.sqrt((flat**2).sum(axis=1) * (start**2).sum())
        return np.divide(flat @ start, size, out=np.zeros(len(flat)), where=size > 0)


def network(cell: str, method: str, p: float) -> Stack:
    """A layer that holds its state: an RNN with the identity as recurrent weights, or a GRU whose gate is nearly shut.

    Args:
        cell: "RNN" or "GRU".
        method: one of METHODS.
        p: its strength.

    Raises:
        ValueError: there is no such cell or method.
    """
    if cell not in CELLS or method not in METHODS:
        raise ValueError(f"{cell!r} with {method!r}: expected one of {', '.join(CELLS)}, and of {', '.join(METHODS)}")
    options: dict[str, Any] = {"init": "identity" if cell == "RNN" else "orthogonal", "rng": 0}
    if method == "recurrent dropout":
        redrawn = RedrawnRNN if cell == "RNN" else RedrawnGRU
        layer: Stack = redrawn(1, UNITS, recurrent_dropout=p, **options)
    else:
        names = {"variational dropout": "variational_dropout", "zoneout": "zoneout"}
        if method in names:
            options[names[method]] = p
        layer = (RNN if cell == "RNN" else GRU)(1, UNITS, **options)
    if cell == "GRU":
        layer.parameters["bias_ih_l0"][UNITS : 2 * UNITS] = 3.0  # z = σ(3) = 0.95: what a unit keeps at a step
    return layer


def traces(cell: str, method: str, p: float, seed: int = 0) -> Traces:
    """Start many times from a random state, give no input, and write down what is left; arguments as in `network`."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(-0.8, 0.8, size=(1, TRIES, UNITS))
    silence = np.zeros((STEPS, TRIES, 1))
    output, _, cache = network(cell, method, p).forward(silence, start, rng=rng)
    return Traces(np.concatenate([start, output]), _acts(cache.sweeps[0]))


def _acts(cache: Any) -> np.ndarray:
    """What a cache remembers of the first sequence's masks."""
    acts = np.ones((STEPS, UNITS))
    if isinstance(cache, RedrawnCache):
        acts = np.array([np.ones(UNITS) if step.dropped.kept is None else step.dropped.kept[0] for step in cache.steps])
    elif isinstance(cache, ScanCache) and cache.hidden_mask is not None:
        acts = np.tile(cache.hidden_mask[0] > 0, (STEPS, 1))
    elif isinstance(cache, ScanCache):
        acts = np.array([1 - step.kept[0][0] for step in cache.steps])
    return acts.astype(np.float64)


def explorer() -> Explorer:
    """Masks over time, and what they leave of the start."""
    return Explorer(
        draw,
        Choice("method", "method", tuple(METHODS), "recurrent dropout"),
        Slider("p", "p", 0.0, 0.9, 0.05, value=0.2),
        Choice("cell", "cell", CELLS, "RNN"),
        Slider("lag", "lag", 1, STEPS, 1, value=10, unit="steps", steps_per_second=6),
        title="How much of h₀ is left?",
        description="Nothing comes in: all that the twelve units can do is hold. Which masks let them?",
    )


def draw(method: str, p: float, cell: str, lag: int) -> Scene:
    """The masks and the states of one start over time, and how well h_0 can be told from h_t over many.

    Args:
        method: one of METHODS.
        p: its strength, the same for all that are compared.
        cell: one of CELLS.
        lag: the step that is marked.
    """
    found = {name: traces(cell, name, p) for name in METHODS}
    own = found[method]
    time = np.arange(STEPS + 1)
    what = "held" if method == "zoneout" else "dropped"
    lines = [
        Line(time, of.kept, name, METHODS[name], dashed=name == "nothing")
        for name, of in found.items()
        if name != method
    ]
    lines.append(Line(time, own.kept, method, METHODS[method], dashed=method == "nothing"))
    x_limits = -0.5, STEPS + 0.5
    panels = [
        Panel(
            [Heatmap(own.acts.T - 1, limits=(-1.0, 1.0), x_range=(1, STEPS))],
            f"Masks: blue is {what}", x_label="time (steps)", y_label="unit", x_limits=x_limits, height=210,
        ),
        Panel(
            [Heatmap(own.states[:, 0].T, "h", (-1.0, 1.0)), Line([lag, lag], [-0.5, UNITS - 0.5], color="ink")],
            "The state, from h₀ on", x_label="time (steps)", y_label="unit", x_limits=x_limits, height=240,
        ),
        Panel(
            [*lines, Dots([lag], [own.kept[lag]], color=METHODS[method], size=9)],
            f"What is left of h₀, {TRIES} starts", x_label="time (steps)", y_label="correlation with h₀",
            x_limits=x_limits, y_limits=(-0.15, 1.05), height=260,
        ),
    ]  # fmt: skip
    alive = int((np.abs(own.states[lag, 0]) > 1e-9).sum())
    said = ", ".join(f"{name} {of.kept[lag]:.2f}" for name, of in found.items())
    alt = f"{cell}, {method}, p = {p:g}. After {lag} steps {alive} of {UNITS} units of one start are not zero. "
    return Scene(panels, f"{alt}Correlation with h₀: {said}.")
