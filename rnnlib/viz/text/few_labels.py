"""The plots of lesson 15: what its studies measured."""

from __future__ import annotations

import numpy as np

from rnnlib.studies import Results, interval
from rnnlib.studies.classification import LABELS
from rnnlib.viz import Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark

LOOKS = {
    "counting": "grey",
    "averaging": "orange",
    "from scratch": "vermillion",
    "tuned at once": "purple",
    "frozen": "sky",
    "frozen, then tuned": "blue",
}


def curves(results: Results) -> Scene:
    """Accuracy on unseen modules against the number of labels, and how much more each method has than counting.

    Args:
        results: of the study `rnnlib.studies.classification.labels`.
    """
    wide, gaps = list[Mark](), list[Mark]()
    said = []
    base = results.values("counting", "accuracy")
    names = [str(n) for n in LABELS[: base.shape[1]]]
    x = np.arange(len(names), dtype=float)
    ends = (-0.3, len(names) - 0.7)
    for place, (arm, color) in enumerate(LOOKS.items()):
        values = 100 * results.values(arm, "accuracy")
        mean = values.mean(axis=0)
        wide += [Line(x, mean, arm, color), Dots(x, mean, "", color, size=5)]
        said.append(f"{arm} {', '.join(f'{each:.0f}' for each in mean)} %")
        if arm == "counting":
            continue
        of = _intervals(values - 100 * base)
        beside = x + 0.07 * (place - 3)
        for at, (_, low, high) in zip(beside, of, strict=True):
            gaps.append(Line([at, at], [low, high], "", color))
        gaps.append(Dots(beside, of[:, 0], "", color, size=6))
    gaps.append(Line(ends, [0, 0], "", "grey", dashed=True))
    most = 100 * float(results.values("counting", "most").mean())
    wide.append(Line(ends, [most, most], "most frequent area", "ink", dashed=True))
    labels = "labelled sentences of each area"
    return Scene(
        [
            Panel(wide, "Unseen modules", labels, "right (%)", ends, x_names=names, height=330),
            Panel(gaps, "More than counting", labels, "points (95 % interval)", ends, x_names=names, height=250),
        ],
        alt=f"Right on unseen modules with {', '.join(names)} labels of each area: "
        f"{'; '.join(said)}. Always the most frequent area: {most:.0f} %.",
    )


def _intervals(values: np.ndarray) -> np.ndarray:
    """(n, 3): mean, low and high of each column of (seeds, n)."""
    return np.array([interval(column) for column in values.T])


MEASURES = {
    "counting": "counting words",
    "averaging": "averaging vectors",
    "network": "GRU",
    "shuffled": "GRU, words shuffled",
}


def held_out(results: Results) -> Scene:
    """How good each classifier looks, by what was held out; a dot for each seed.

    Args:
        results: of the study `rnnlib.studies.classification.splits`.
    """
    marks: list[Mark] = []
    said = []
    for color, arm, aside in (("vermillion", "by sentence", 0.14), ("blue", "by module", -0.14)):
        for row, (measure, name) in enumerate(reversed(MEASURES.items())):
            values = 100 * results.values(arm, measure)
            mean, low, high = results.interval(arm, measure)
            label = arm.replace("by", "held out by") if row == 0 else ""
            marks += [
                Dots(values, np.full(len(values), row + aside), "", "sky" if color == "blue" else "orange", size=4),
                Line([100 * low, 100 * high], [row + aside] * 2, "", color),
                Dots([100 * mean], [row + aside], label, color, size=7),
            ]
            said.append(f"{name} {arm} {100 * mean:.0f} %")
    names = list(reversed(MEASURES.values()))
    return Scene(
        [Panel(marks, "How good does it look?", "right (%)", y_limits=(-0.5, 3.5), y_names=names, height=270)],
        alt=f"Mean accuracy over the seeds: {'; '.join(said)}.",
    )
