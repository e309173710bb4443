"""A model on the ladder between counting and the source, and the brackets that it must keep in mind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.data import brackets
from rnnlib.viz import Bars, Dots, Label, Line, Panel, Scene
from rnnlib.viz.scene import Mark

COLOURS = "blue", "vermillion", "green", "purple"


def arcs(ids: ArrayLike) -> Scene:
    """A stretch of text; an arc joins each bracket that opens with the one that closes it.

    Args:
        ids: (L,), of `rnnlib.data.brackets`; about 80 fit.
    """
    symbols = np.asarray(ids)
    marks: list[Mark] = []
    open_ones: list[int] = []
    lengths = []
    for i, symbol in enumerate(symbols):
        colour = COLOURS[symbol % brackets.KINDS] if symbol < 2 * brackets.KINDS else "grey"
        marks.append(Label(i, -0.6, brackets.ALPHABET[symbol], color=colour))
        if symbol < brackets.KINDS:
            open_ones.append(i)
        elif symbol < 2 * brackets.KINDS and open_ones:
            start = open_ones.pop()
            lengths.append(i - start)
            turn = np.linspace(0, np.pi, 30)
            x, y = (start + i - (i - start) * np.cos(turn)) / 2, (i - start) ** 0.6 * np.sin(turn)
            marks.append(Line(x, y, color=colour))
    near = np.mean(np.array(lengths) <= 3) if lengths else 0.0
    alt = f"{len(symbols)} symbols; {len(lengths)} brackets close, {near:.0%} of them within three symbols, "
    alt += f"the last one after {max(lengths, default=0)}."
    panel = Panel(marks, "What was opened must close", axes=False, y_limits=(-1.2, None), height=220)
    return Scene([panel], alt)


def standing(rungs: Mapping[str, float], floor: float, yours: float | None = None) -> Scene:
    """Where a model stands between its rivals and what nobody can beat; farther left is better.

    Args:
        rungs: perplexity by rival, the worst first.
        floor: the perplexity of the source itself.
        yours: the model's; None: there is none yet.
    """
    names = [*rungs, "the source itself"]
    values = np.array([*rungs.values(), floor])
    rows = np.arange(len(names))
    marks: list[Mark] = [
        Line(np.log([floor, floor]), np.array([-0.6, len(names) - 0.4]), color="grey", dashed=True),
        Dots(np.log(values), rows, color="blue", size=9),
    ]
    marks += [Label(np.log(value), row + 0.32, f"{value:.2f}") for row, value in zip(rows, values, strict=True)]
    alt = "; ".join(f"{name} {value:.2f}" for name, value in zip(names, values, strict=True))
    if yours is not None:
        marks.append(
            Line(np.log([yours, yours]), np.array([-0.6, len(names) - 0.4]), f"yours, {yours:.2f}", "vermillion")
        )
        alt += f"; your model {yours:.2f}"
    panel = Panel(
        marks,
        title="From a blind guess to all that can be known",
        x_label="loss (nats per symbol); beside each dot, the perplexity",
        y_names=names,
        y_limits=(-0.6, len(names) - 0.4),
        height=60 + 42 * len(names),
    )
    return Scene([panel], alt=f"Perplexities: {alt}.")


def reading(ids: ArrayLike, p: np.ndarray) -> Scene:
    """What a model expects after a stretch of text, beside what the grammar says.

    Args:
        ids: (T,), of `rnnlib.data.brackets`; the last 40 are shown.
        p: (V,), the model's probabilities.
    """
    read = np.asarray(ids)
    known = brackets.predictive(read[None])[0]
    places = np.arange(brackets.V)
    shown = brackets.spelled(read[-40:])
    panel = Panel(
        [Bars(places - 0.2, known, "the grammar", "grey", 0.4), Bars(places + 0.2, p, "your model", "blue", 0.4)],
        title=f"… {shown}",
        x_label="what comes next",
        y_label="probability",
        x_names=list(brackets.ALPHABET),
        y_limits=(0, 0.6),
        height=260,
    )
    likely = brackets.ALPHABET[int(np.argmax(p))]
    closing = slice(brackets.KINDS, 2 * brackets.KINDS)
    alt = f"After {shown} your model finds {likely} likeliest, {p.max():.2f}; some bracket closes with probability "
    alt += f"{p[closing].sum():.2f}, by the grammar {known[closing].sum():.2f}."
    return Scene([panel], alt)
