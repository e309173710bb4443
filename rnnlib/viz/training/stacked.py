"""A stack of layers, and which inputs reach which output: measured by gradients through the layers themselves."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from rnnlib.recurrent import GRU
from rnnlib.viz import Box, Choice, Explorer, Heatmap, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

STEPS, UNITS, INPUTS, DEEPEST = 12, 6, 3, 3
READS = {"forward": False, "in both directions": True}
HALVES = ("all units", "forward half", "reverse half")
FAINTEST = 4.0  # powers of ten below the strongest: what is weaker is as pale as this


class Traced(NamedTuple):
    """What one output depends on.

    Attributes:
        reach: (STEPS, STEPS), how much output t (row) changes with input s (column): the norm of the Jacobian.
        handed: (K, STEPS, directions) for each layer, by what it hands up at each step, from the inputs on (their
            directions are alike); of the output in question.
    """

    reach: np.ndarray
    handed: list[np.ndarray]


def explorer() -> Explorer:
    """Choose depth and direction; follow one output back to what it depends on."""
    return Explorer(
        draw,
        Slider("layers", "layers", 1, DEEPEST, 1, value=2),
        Choice("reads", "reads", tuple(READS), "forward"),
        Choice("half", "of the output", HALVES, "all units"),
        Slider("t", "output at step", 0, STEPS - 1, 1, value=6, steps_per_second=3),
        title="Who reaches whom?",
        description="Orange reaches the output, an empty box does not. Add layers first, then the second direction.",
    )


def draw(layers: int, reads: str, half: str, t: int) -> Scene:
    """The stack with what reaches one output, and below it the map of every input and output.

    Args:
        layers: K, 1 to DEEPEST.
        reads: one of READS.
        half: one of HALVES, which part of the output is asked; read forwards there is one part.
        t: the step of the output.
    """
    both = READS[reads]
    half = half if both else "all units"
    seen = traced(layers, both, half, t)
    reach = seen.reach
    inputs = np.flatnonzero(reach[t])
    said = f"{layers} layer{'s' if layers > 1 else ''}, {reads}, {half}. Output {t} depends on the inputs of "
    said += f"{len(inputs)} of {STEPS} steps, {inputs.min()} to {inputs.max()}. "
    said += f"In the map {np.count_nonzero(reach)} of {STEPS**2} fields are not zero."
    with np.errstate(divide="ignore"):
        shades = np.where(reach > 0, np.maximum(np.log10(reach / reach.max()), -FAINTEST), np.nan)
    grid: list[Mark] = [Heatmap(shades, "log₁₀, to the largest", (-FAINTEST, 0.0), -FAINTEST)]
    grid.append(Line([-0.5, STEPS - 0.5], [t - 0.5] * 2, color="ink", dashed=True))
    grid.append(Line([-0.5, STEPS - 0.5], [t + 0.5] * 2, color="ink", dashed=True))
    title = "Every output and every input (grey: exactly zero)"
    return Scene(
        [
            _stack(seen, layers, both, t),
            Panel(grid, title, "input at step", "output at step", height=290),
        ],
        alt=said,
    )


@functools.lru_cache(maxsize=64)
def traced(layers: int, both: bool, half: str, t: int) -> Traced:
    """Run random layers one on top of the other, and send the gradient of every output back through them.

    Args:
        layers, half, t: as those of `draw`.
        both: whether there are two directions.
    """
    directions, rng = 1 + both, np.random.default_rng(5)
    sizes = [INPUTS] + [directions * UNITS] * (layers - 1)
    stack = [GRU(size, UNITS, bidirectional=both, init="xavier", rng=rng) for size in sizes]
    asked = {"all units": slice(0, directions * UNITS), "forward half": slice(0, UNITS)}.get(half, slice(UNITS, None))
    units = np.arange(directions * UNITS)[asked]
    # one copy of the sequence for each unit that is asked, so that one way back gives the whole Jacobian
    output = np.repeat(rng.normal(size=(STEPS, 1, INPUTS)), len(units), axis=1)
    caches = []
    for layer in stack:
        output, _, cache = layer.forward(output)
        caches.append(cache)
    reach, handed = np.empty((STEPS, STEPS)), list[np.ndarray]()
    for step in range(STEPS):
        gradient = np.zeros((STEPS, len(units), directions * UNITS))
        gradient[step, np.arange(len(units)), units] = 1
        by_layer = [_strength(gradient, directions)]
        for layer, cache in zip(reversed(stack), reversed(caches), strict=True):
            gradient = layer.backward(gradient, None, cache)[0]
            by_layer.append(_strength(gradient, directions if layer is not stack[0] else 1))
        reach[step] = by_layer[-1][:, 0]
        if step == t:
            handed = by_layer[::-1]
    return Traced(reach, handed)


def _strength(gradient: np.ndarray, parts: int) -> np.ndarray:
    """The norm of a Jacobian's rows (T, copies, size), for each step and part of the size: (T, parts)."""
    T, copies, size = gradient.shape
    return np.linalg.norm(gradient.reshape(T, copies, parts, size // parts), axis=(1, 3))


def _stack(seen: Traced, layers: int, both: bool, t: int) -> Panel:
    """A box for each step of the inputs and of what each layer hands up; two where there are two directions."""
    marks, y = list[Mark](), 0.0
    for k, values in enumerate(seen.handed):
        parts = values.shape[1]
        for part in range(parts):
            for s, value in enumerate(values[:, part] / values.max()):
                shade = None if value == 0 else max(0.08, 1 + np.log10(value) / FAINTEST)
                marks.append(Box(s, y, "", shade, 0.84, 0.34, 1.2, color="grey"))
            name = "inputs" if k == 0 else f"layer {k}{(' →', ' ←')[part] if both else ''}"
            marks.append(Label(-0.8, y, name, align="right"))
            y += 0.42
        y += 0.3
    marks.append(Label(t, y - 0.2, "this output", color="ink"))
    return Panel(
        marks,
        "What reaches it (orange; empty: exactly nothing)",
        axes=False,
        x_limits=(-3.2, STEPS - 0.4),
        y_limits=(-0.3, y),
        height=round(40 + 58 * y),
    )
