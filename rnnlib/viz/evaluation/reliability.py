"""Reliability: of what was said with a confidence, how much was right, before and after a temperature."""

from __future__ import annotations

import numpy as np

from rnnlib.losses import cross_entropy, softmax
from rnnlib.metrics import calibration
from rnnlib.viz import Bars, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

BINS = 10
TEMPERATURES = np.round(np.arange(0.4, 6.01, 0.1), 1)


def explorer(logits: np.ndarray, truths: np.ndarray) -> Explorer:
    """Divide the logits by a temperature, and look for the one that makes the confidence true.

    Args:
        logits: (N, C), of validation data.
        truths: (N,).
    """
    losses = np.array([float(cross_entropy(logits / each, truths)[0]) for each in TEMPERATURES])

    def draw(temperature: float) -> Scene:
        return at(logits, truths, temperature, losses)

    return Explorer(
        draw,
        Slider("temperature", "temperature", 0.4, 6.0, 0.1, value=1.0),
        title="Does it know how sure it may be?",
        description="Bring the dots onto the line. Which labels change on the way?",
    )


def at(logits: np.ndarray, truths: np.ndarray, temperature: float, losses: np.ndarray | None = None) -> Scene:
    """The reliability diagram, how sure the network is, and the loss at every temperature.

    Args:
        logits, truths: as in `explorer`.
        temperature: what the logits are divided by.
        losses: at each of TEMPERATURES, in nats; None: without that panel.
    """
    p = softmax(logits / temperature)
    found = calibration(p, truths, bins=BINS)
    right = float((p.argmax(axis=-1) == truths).mean())
    loss = float(cross_entropy(logits / temperature, truths)[0])
    panels = [_diagram(found.confidence, found.accuracy, found.sizes), _sure(found.sizes, found.edges)]
    if losses is not None:
        curve: list[Mark] = [Line(TEMPERATURES, losses, color="blue")]
        curve += [Dots([temperature], [loss], color="vermillion", size=10)]
        panels.append(Panel(curve, "Loss at each temperature", "temperature", "cross-entropy (nats)", height=220))
    best = "" if losses is None else f" The loss is lowest at {TEMPERATURES[losses.argmin()]:.1f}."
    return Scene(
        panels,
        alt=f"Temperature {temperature:.1f}: expected calibration error {found.error:.3f}, "
        f"cross-entropy {loss:.3f} nats, "
        f"accuracy {right:.3f}.{best}",
        columns=2,
    )


def _diagram(confidence: np.ndarray, accuracy: np.ndarray, sizes: np.ndarray) -> Panel:
    marks: list[Mark] = [Line([0, 1], [0, 1], "as sure as right", "grey", dashed=True)]
    names = iter(("95 % interval", "gap"))
    for says, holds, count in zip(confidence, accuracy, sizes, strict=True):
        if count:
            spread = 1.96 * np.sqrt(max(holds * (1 - holds), 0.25 / count) / count)  # no bin is certain
            marks.append(Line([says, says], [max(0, holds - spread), min(1, holds + spread)], next(names, ""), "sky"))
            marks.append(Line([says, says], sorted([says, holds]), next(names, ""), "orange"))
    seen = sizes > 0
    marks.append(Dots(confidence[seen], accuracy[seen], color="vermillion", size=8))
    return Panel(marks, "Reliability", "mean confidence", "share that is right", (0, 1.02), (0, 1.02), height=260)


def _sure(sizes: np.ndarray, edges: np.ndarray) -> Panel:
    middles = (edges[:-1] + edges[1:]) / 2
    share = 100 * sizes / sizes.sum()
    marks: list[Mark] = [Bars(middles, share, color="blue", width=0.08)]
    marks += [Label(x, y + 4, str(int(count))) for x, y, count in zip(middles, share, sizes, strict=True) if count]
    return Panel(marks, "How sure it is", "confidence", "of all (%)", (0, 1.02), (0, 110), height=260)
