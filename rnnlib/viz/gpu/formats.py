"""Gradients in a number format, under a scale of the loss: what is kept, what is lost, what overflows (lesson 23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnlib.studies.precision import FORMATS, Format, rounded
from rnnlib.viz import Bars, Choice, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

EDGES = np.arange(-50, 31)  # powers of two: a bar for each; what lies outside is counted in the outermost
COLORS = {"kept": "blue", "kept with fewer digits": "sky", "lost: became zero": "vermillion", "overflowed": "purple"}
SMALLEST_ERROR = 1e-9  # an exact number has none, and a logarithmic axis no zero


class Fate(NamedTuple):
    """What becomes of numbers in a format.

    Attributes:
        scaled: what was stored.
        value: what was found there.
        kind: places in COLORS.
    """

    scaled: np.ndarray
    value: np.ndarray
    kind: np.ndarray

    def share(self, name: str) -> float:
        """Of the numbers, those of a kind."""
        return float(np.mean(self.kind == list(COLORS).index(name)))


def fate(numbers: np.ndarray, form: Format, scale: float) -> Fate:
    """Multiply, store, and look.

    Args:
        numbers: (n,), none of them zero.
        form: see FORMATS.
        scale: of the loss, and so of every gradient.
    """
    scaled = scale * np.asarray(numbers, dtype=np.float64)
    value = rounded(scaled, form)
    kind = np.select([value == 0, np.isinf(value), np.abs(scaled) < 2.0**form.low], [2, 3, 1], 0)
    return Fate(scaled, value, kind)


def explorer(gradients: Mapping[str, np.ndarray]) -> Explorer:
    """Gradients in a format, and a scale to pull at.

    Args:
        gradients: by name, any shape; entries that are zero are left out.
    """
    flat = {name: entries[entries != 0] for name, of in gradients.items() for entries in (np.ravel(of),)}
    first = next(iter(flat))

    def draw(which: str, form: str, exponent: int) -> Scene:
        return scene(flat[which], which, form, exponent)

    return Explorer(
        draw,
        Choice("which", "gradients of", tuple(flat), first),
        Choice("form", "stored as", tuple(FORMATS), "float16"),
        Slider("exponent", "loss scale, as a power of 2", 0, 40, 1, value=0),
        title="What is left of a gradient",
        description="A bar holds the entries between two powers of 2. Pull the scale until nothing is lost, then on.",
    )


def scene(numbers: np.ndarray, which: str, form: str, exponent: int) -> Scene:
    """A histogram by fate, and the relative error of each number that is not lost.

    Args:
        numbers: (n,), none of them zero.
        which: what they are gradients of.
        form: a name in FORMATS.
        exponent: of the scale, a power of 2.
    """
    found = fate(numbers, FORMATS[form], 2.0**exponent)
    shares = {name: 100 * found.share(name) for name in COLORS}
    said = ", ".join(f"{share:.3g} % {name}" for name, share in shares.items() if share)
    alt = f"Gradients of {which} in {form}, loss times 2^{exponent}: {said}."
    return Scene([_histogram(found, form, alt), _errors(found, form)], alt)


def _limits(form: Format, ceiling: float) -> list[Mark]:
    """Where the format ends, as far as that is in the picture, which is so high."""
    marks: list[Mark] = []
    for power, name, side in (
        (form.low + 1 - form.digits, "smallest", "left"),
        (form.low, "smallest with all digits", "left"),
        (form.high + 1, "largest", "right"),
    ):
        if EDGES[0] < power < EDGES[-1]:
            marks.append(Line([power, power], [0, ceiling], "", "ink", dashed=True))
            height = 0.8 if name == "smallest with all digits" else 0.92
            marks.append(Label(power + (0.5 if side == "left" else -0.5), height * ceiling, name, "ink", side))
    return marks


def _histogram(found: Fate, form: str, alt: str) -> Panel:
    powers = np.clip(np.floor(np.log2(np.abs(found.scaled))), EDGES[0], EDGES[-1] - 1)
    marks: list[Mark] = []
    top = np.zeros(len(EDGES) - 1)
    stacks = []
    for k, (name, color) in enumerate(COLORS.items()):
        top = top + np.histogram(powers[found.kind == k], EDGES)[0]
        stacks.append((name, color, top))
    percent = 100 / len(powers)
    for name, color, height in reversed(stacks):  # the tallest first, so that each covers what is not its own
        marks.append(Bars(EDGES[:-1] + 0.5, percent * height, name, color, width=1.0))
    ceiling = 1.4 * percent * float(top.max())
    marks += _limits(FORMATS[form], ceiling)
    return Panel(
        marks, alt.split(":")[0], "size of scaled entry (power of 2)", "entries (%)",
        (float(EDGES[0]), float(EDGES[-1])), (0, ceiling), height=290,
    )  # fmt: skip


def _errors(found: Fate, form: str) -> Panel:
    alive = np.isfinite(found.value) & (found.value != 0)
    step = max(1, int(alive.sum()) // 1500)
    scaled, value = found.scaled[alive][::step], found.value[alive][::step]
    error = np.maximum(np.abs(value / scaled - 1), SMALLEST_ERROR)
    inside = (np.abs(scaled) > 2.0 ** EDGES[0]) & (np.abs(scaled) < 2.0 ** EDGES[-1])
    half = 2.0 ** -FORMATS[form].digits
    ends = [float(EDGES[0]), float(EDGES[-1])]
    return Panel(
        [
            Line(ends, [half, half], f"half a unit in the last of {FORMATS[form].digits} digits", "grey", dashed=True),
            Dots(np.log2(np.abs(scaled[inside])), error[inside], "relative error of an entry", "blue", size=2),
        ],
        "How far the stored number is off", "size of scaled entry (power of 2)", "relative error",
        (ends[0], ends[1]), (SMALLEST_ERROR / 2, 3.0), y_scale="log", height=230,
    )  # fmt: skip
