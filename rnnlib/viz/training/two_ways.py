"""A padded sequence read in both directions, by a reversal that knows its length and by one that does not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnlib.recurrent import RNN
from rnnlib.viz import Choice, Explorer, Heatmap, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

LENGTH, MOST, UNITS = 10, 16, 6
RULES = ("x[::-1]", "by length")
FILLS = {"zeros": 0.0, "ones": 1.0, "NaN": np.nan}
FAR = 2.5


class Read(NamedTuple):
    """What both directions held, over LENGTH steps and the padding after them.

    Attributes:
        states: (T, 2 UNITS), forward half first.
        moved: (LENGTH, 2), how far each half lies from what it is without padding.
    """

    states: np.ndarray
    moved: np.ndarray


def explorer() -> Explorer:
    """Change the padding, how much and what; choose how the second direction turns round."""
    return Explorer(
        draw,
        Choice("rule", "the second reader turns round", RULES, "x[::-1]"),
        Choice("fill", "the padding holds", tuple(FILLS), "zeros"),
        Slider("padding", "padding", 0, MOST, 1, value=6, unit="steps", steps_per_second=3),
        title="The second reader and the padding",
        description="Left of the dashed line is the sequence. Add padding and watch its states, read from the right.",
    )


def draw(rule: str, fill: str, padding: int) -> Scene:
    """The states of both directions, and how far each step's states have moved from those without padding.

    Args:
        rule: one of RULES.
        fill: one of FILLS.
        padding: steps, 0 to MOST.
    """
    seen = read(rule, fill, padding)
    T = LENGTH + padding
    steps, panels = np.arange(LENGTH), []
    for half, title in enumerate(("Forward half, read from the left", "Reverse half, read from the right")):
        states = np.full((UNITS, LENGTH + MOST), np.nan)
        states[:, :T] = seen.states[:, half * UNITS : (half + 1) * UNITS].T
        marks: list[Mark] = [Heatmap(states, "state", (-1, 1))]
        marks.append(Line([LENGTH - 0.5] * 2, [-0.5, UNITS - 0.5], color="ink", dashed=True))
        panels.append(Panel(marks, f"{title} (grey: no number)", "", "unit", height=165))
    lines: list[Mark] = [Line([LENGTH - 0.5] * 2, [0, FAR], color="ink", dashed=True)]
    for half, (name, color) in enumerate((("forward half", "blue"), ("reverse half", "vermillion"))):
        lines.append(Line(steps, seen.moved[:, half], name, color))
    lines += [Label(float(s), FAR / 2, "NaN", "vermillion") for s in steps[np.isnan(seen.moved[:, 1])]]
    panels.append(
        Panel(
            lines,
            "How far each step has moved from the same sequence without padding",
            "step",
            "distance",
            (-0.5, LENGTH + MOST - 0.5),
            (-0.08, FAR),
            height=190,
        )
    )
    return Scene(panels, alt=_told(rule, fill, padding, seen))


def read(rule: str, fill: str, padding: int) -> Read:
    """A random bidirectional layer over a padded sequence.

    Args:
        rule, fill, padding: as those of `draw`.

    Raises:
        ValueError: the rule is unknown.
    """
    if rule not in RULES:
        raise ValueError(f"rule is {rule!r}: expected one of {', '.join(RULES)}")
    layer = RNN(1, UNITS, bidirectional=True, init="orthogonal", rng=4)
    for name in ("weight_hh_l0", "weight_hh_l0_reverse"):
        layer.parameters[name] *= 0.9
    rng = np.random.default_rng(1)
    for name in ("bias_ih_l0", "bias_ih_l0_reverse"):
        layer.parameters[name][:] = rng.normal(size=UNITS) / 2
    x = rng.uniform(-1, 1, (LENGTH, 1, 1))
    alone = layer.forward(x)[0][:, 0]
    padded = np.concatenate([x, np.full((padding, 1, 1), FILLS[fill])])
    with np.errstate(invalid="ignore"):
        states = layer.forward(padded, lengths=[LENGTH] if rule == "by length" else None)[0][:, 0]
        apart = (states[:LENGTH] - alone).reshape(LENGTH, 2, UNITS)
    return Read(states, np.linalg.norm(apart, axis=2))


def _told(rule: str, fill: str, padding: int, seen: Read) -> str:
    text = f"{LENGTH} steps and {padding} of padding that holds {fill}; the second reader turns round: {rule}. "
    if np.isnan(seen.moved[:, 1]).any():
        return text + "Its states are not numbers at any real step; those of the forward half are untouched."
    first, last = seen.moved[0, 1], seen.moved[-1, 1]
    if seen.moved.max() < 1e-12:
        return text + "No state of the sequence has moved."
    forward = "not moved" if seen.moved[:, 0].max() < 1e-12 else "moved"
    return (
        text
        + f"Its state has moved by {last:.2g} at step {LENGTH - 1} and by {first:.2g} at step 0; forward {forward}."
    )
