"""One classifier, every threshold: what is called positive, what that costs, and how much depends on how rare it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnnlib.viz import Bars, Box, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

OUT_OF = 1000  # sequences that the picture speaks of


class Counts(NamedTuple):
    """Of OUT_OF sequences: those found, false alarms, those missed, and those rightly passed over."""

    found: float
    alarms: float
    missed: float
    passed: float


def counts(scores: np.ndarray, truths: np.ndarray, threshold: float, share: float) -> Counts:
    """What a threshold does to OUT_OF sequences of which a share is positive.

    Args:
        scores: (N,), probabilities of the positive class.
        truths: (N,), 0 or 1; both must occur.
        threshold: a score of at least this is called positive.
        share: of positives among those that are judged, whatever it is in truths.
    """
    called = scores >= threshold
    recall, alarm = called[truths == 1].mean(), called[truths == 0].mean()
    yes, no = OUT_OF * share, OUT_OF * (1 - share)
    return Counts(yes * recall, no * alarm, yes * (1 - recall), no * (1 - alarm))


def scores_of(of: Counts) -> dict[str, float]:
    """Accuracy, precision, recall and F1; precision is 0 where nothing is called."""
    called, f1_whole = of.found + of.alarms, 2 * of.found + of.alarms + of.missed
    return {
        "accuracy": (of.found + of.passed) / OUT_OF,
        "precision": of.found / called if called else 0.0,
        "recall": of.found / (of.found + of.missed),
        "F1": 2 * of.found / f1_whole if f1_whole else 0.0,
    }


def explorer(scores: np.ndarray, truths: np.ndarray) -> Explorer:
    """Move the threshold, and make the positives rarer.

    Args:
        scores, truths: as in `counts`.
    """

    def draw(threshold: float, share: int) -> Scene:
        return at(scores, truths, threshold, share / 100)

    return Explorer(
        draw,
        Slider("threshold", "threshold", 0.01, 0.99, 0.01, value=0.5),
        Slider("share", "positives", 1, 50, 1, value=10, unit="%"),
        title="Where to draw the line",
        description="Find the best F1. Then make the positives rarer, and watch accuracy and precision part.",
    )


def at(scores: np.ndarray, truths: np.ndarray, threshold: float, share: float) -> Scene:
    """The scores of both classes, the four counts, the four scores, and precision against recall.

    Args:
        scores, truths, threshold, share: as in `counts`.
    """
    now = counts(scores, truths, threshold, share)
    values = scores_of(now)
    said = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return Scene(
        [
            _histogram(scores, truths, threshold),
            _table(now),
            _bars(values, share),
            _curve(scores, truths, values, share),
        ],
        alt=f"Threshold {threshold:.2f}, {100 * share:.0f} % positives. Of {OUT_OF} sequences "
        f"{now.found:.0f} are found, "
        f"{now.missed:.0f} missed, {now.alarms:.0f} are false alarms: {said}.",
        columns=2,
    )


def _histogram(scores: np.ndarray, truths: np.ndarray, threshold: float) -> Panel:
    edges = np.linspace(0, 1, 21)
    middles = (edges[:-1] + edges[1:]) / 2
    marks: list[Mark] = []
    for label, name, color, shift in ((0, "no motif", "sky", -0.01), (1, "motif", "orange", 0.01)):
        of = scores[truths == label]
        marks.append(Bars(middles + shift, 100 * np.histogram(of, edges)[0] / len(of), name, color, 0.02))
    marks.append(Line([threshold, threshold], [0, 100], "threshold", "ink", dashed=True))
    return Panel(marks, "What the network says", "probability of a motif", "of its class (%)", (0, 1), (0, 100))


def _table(now: Counts) -> Panel:
    places = {"found": (0, 1), "missed": (1, 1), "false alarm": (0, 0), "passed over": (1, 0)}
    marks: list[Mark] = [Label(-0.62, 1, "motif", align="right"), Label(-0.62, 0, "none", align="right")]
    marks += [Label(0, 1.62, "called"), Label(1, 1.62, "not called")]
    for (name, (x, y)), count in zip(places.items(), (now.found, now.missed, now.alarms, now.passed), strict=True):
        wrong = name in ("missed", "false alarm")
        shade = (0.9 if wrong else -0.9) * (count / OUT_OF) ** 0.5
        marks.append(Box(x, y, f"{count:.0f}\n{name}", shade, 0.94, 0.86, 1.0))
    title = f"Of {OUT_OF} sequences (orange: mistakes)"
    return Panel(marks, title, axes=False, x_limits=(-1.4, 1.6), y_limits=(-0.6, 1.9))


def _bars(values: dict[str, float], share: float) -> Panel:
    marks: list[Mark] = [Bars(range(len(values)), list(values.values()), color="blue", width=0.6)]
    marks.append(Line([-0.4, 0.4], [1 - share] * 2, "accuracy of never calling", "vermillion", dashed=True))
    marks += [Label(x, value + 0.07, f"{value:.2f}") for x, value in enumerate(values.values())]
    names = list(values)
    return Panel(marks, "Scores", "", "score", (-0.5, 3.5), (0, 1.2), x_names=names)


def _curve(scores: np.ndarray, truths: np.ndarray, values: dict[str, float], share: float) -> Panel:
    every = [scores_of(counts(scores, truths, t, share)) for t in np.linspace(0.01, 0.99, 50)]
    some = [each for each in every if each["recall"] > 0]
    marks: list[Mark] = [Line([e["recall"] for e in some], [e["precision"] for e in some], "all thresholds", "blue")]
    marks.append(Dots([values["recall"]], [values["precision"]], "this one", "vermillion", 10))
    return Panel(marks, "Precision against recall", "recall", "precision", (0, 1.03), (0, 1.03))
