"""The attention map of lesson 16: for each token that was written, where in the source the decoder looked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rnnlib.viz import Explorer, Heatmap, Label, Line, Panel, Scene, Slider, Text
from rnnlib.viz.explorer import Control
from rnnlib.viz.scene import Arrow, Box, Mark

LEAST = 0.05  # a weight below it gets no arrow


class Reading(NamedTuple):
    """What a model wrote about a source, and where it looked.

    Attributes:
        source: (Ts,) tokens.
        written: (T,) tokens.
        weights: (T, Ts), a row for each that was written.
        wanted: what should have been written.
    """

    source: Sequence[str]
    written: Sequence[str]
    weights: np.ndarray
    wanted: Sequence[str]

    @property
    def right(self) -> bool:
        """Whether all is as it should be."""
        return list(self.written) == list(self.wanted)


def explorer(
    readers: Sequence[Callable[[str], Reading]],
    text: str,
    *,
    label: str = "a word",
    steps: int = 12,
    max_length: int = 16,
    title: str = "Where does it look?",
    description: str = "",
) -> Explorer:
    """Text that a reader types, as a model reads and writes it, step by step.

    Args:
        readers: what a model makes of a text, after each epoch of its training; one: the training is not shown. What
            is typed and cannot be read raises ValueError, whose message the reader sees.
        text: at first.
        label: beside the text.
        steps: how far the slider over what is written goes.
        max_length: of the text, in characters.
        title, description: of the explorer.
    """
    last = len(readers) - 1
    controls: list[Control] = [
        Text("text", label, text, max_length),
        Slider("step", "written token", 1, steps, 1, value=1, steps_per_second=2),
    ]
    if last:
        controls.append(Slider("epoch", "after epoch", 0, last, 1, value=last, steps_per_second=2))

    def draw(text: str, step: int, epoch: int = last) -> Scene:
        return at_step(readers[epoch](text), step)

    return Explorer(draw, *controls, title=title, description=description)


def at_step(reading: Reading, step: int) -> Scene:
    """The whole map, with the row of one step marked; above it that row, as a look back at the source.

    Args:
        reading: of at least one token.
        step: from 1; beyond what was written it is the last.
    """
    step = min(step, len(reading.written))
    weights = reading.weights[step - 1]
    strongest = int(weights.argmax())
    verdict = "right" if reading.right else f"wrong: it should be {' '.join(reading.wanted)}"
    return Scene(
        [_look(reading, step, verdict), _map(reading, step)],
        alt=f"From {' '.join(reading.source)} the model wrote {' '.join(reading.written)}, which is {verdict}. At step "
        f"{step} it wrote {reading.written[step - 1]} and looked most at place {strongest + 1}, "
        f"{reading.source[strongest]}, with a weight of {weights[strongest]:.2f}.",
    )


def mapped(reading: Reading, title: str) -> Panel:
    """The map alone, with a title of its own, to stand beside others."""
    return _map(reading, None, title)


def _look(reading: Reading, step: int, verdict: str) -> Panel:
    """The source above, shaded by the weights of this step; below what is written so far, and what will be."""
    room = max(len(reading.source), len(reading.written), 8)
    above, below = (room - len(reading.source)) / 2, (room - len(reading.written)) / 2
    sources = [
        Box(above + k, 1.3, token, float(weight), 0.9, 0.6)
        for k, (token, weight) in enumerate(zip(reading.source, reading.weights[step - 1], strict=True))
    ]
    marks: list[Mark] = [*sources]
    for t, token in enumerate(reading.written):
        wrong = t >= len(reading.wanted) or token != reading.wanted[t]
        if t < step:
            color = "vermillion" if wrong else "blue" if t == step - 1 else "ink"
            box = Box(below + t, -0.3, token, None, 0.9, 0.6, color=color)
            marks.append(box)
            if t == step - 1:
                marks += [
                    Arrow.between(source, box, color="vermillion", width=0.5 + 5 * float(source.value or 0))
                    for source in sources
                    if (source.value or 0) > LEAST
                ]
        else:
            marks.append(Label(below + t, -0.3, "·", "grey"))
    marks += [Label(-0.9, 1.3, "source", "grey", "right"), Label(-0.9, -0.3, "written", "grey", "right")]
    title = f"Step {step} writes {reading.written[step - 1]}; in the end all is {verdict}"
    return Panel(marks, title, axes=False, x_limits=(-2.2, room - 0.3), y_limits=(-0.8, 1.8), height=190)


def _map(reading: Reading, step: int | None, title: str = "The whole map, row by row") -> Panel:
    T, columns = reading.weights.shape
    marks: list[Mark] = [Heatmap(reading.weights, label="weight", limits=(0.0, 1.0))]
    if step is not None:
        left, right, top, bottom = -0.48, columns - 0.52, step - 1.47, step - 0.53
        marks.append(Line([left, right, right, left, left], [top, top, bottom, bottom, top], color="blue"))
    return Panel(
        marks, title, x_label="source (read)", y_label="written", x_names=list(reading.source),
        y_names=list(reading.written), height=90 + 24 * T,
    )  # fmt: skip
