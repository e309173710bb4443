"""Lesson 11's search as a picture: what each strength of each regulariser does to what is learned and what is not."""

from __future__ import annotations

import numpy as np

from rnnlib.studies import Results
from rnnlib.studies.regularisation import BLOCK, PLAIN, STRENGTHS, arm, chosen
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

LEARNED, VALIDATION = "sky", "vermillion"
UNITS = {"weight decay": "λ", "L2 in Adam": "λ", "jitter": "σ"}


def explorer(results: Results) -> Explorer:
    """Every regulariser at every strength that was tried.

    Args:
        results: of the study `strengths`.
    """

    def draw(method: str, at: int) -> Scene:
        return tried(results, method, at)

    return Explorer(
        draw,
        Choice("method", "method", tuple(STRENGTHS), "dropout"),
        Slider("at", "strength, 1 weak to 4 strong", 1, 4, 1, value=2),
        title="Stronger, and stronger",
        description="Trained before you came. Where the gap closes: does one curve fall, or the other rise?",
    )


def tried(results: Results, method: str, at: int) -> Scene:
    """The losses over the epochs at one strength, and the last ones at all strengths.

    Args:
        results: of the study `strengths`.
        method: one of STRENGTHS.
        at: the place of the strength, from 1.
    """
    strength, symbol = STRENGTHS[method][at - 1], UNITS.get(method, "p")
    over: list[Mark] = []
    ends: list[Mark] = []
    top = max(float(results.values(name, "validation curve")[:, 1:].max()) for name in results.arms)
    for measure, name, color in (("learned", "training", LEARNED), ("validation", "validation", VALIDATION)):
        curves = results.values(arm(method, strength), f"{measure} curve")
        epochs = BLOCK * np.arange(1, curves.shape[1] + 1)
        plain = results.values(PLAIN, f"{measure} curve").mean(axis=0)
        over.append(Line(epochs, np.minimum(plain, top), f"{name}, {PLAIN}", "grey", dashed=measure == "validation"))
        over += [Line(epochs, np.minimum(row, top), name if k == 0 else "", color) for k, row in enumerate(curves)]
        last = np.array([results.values(arm(method, s), measure) for s in STRENGTHS[method]])
        last = np.concatenate([results.values(PLAIN, measure)[None], last])
        places = np.arange(len(last))
        ends.append(Line(places, last.mean(axis=1), name, color))
        ends.append(Dots(np.repeat(places, last.shape[1]), last.ravel(), color=color, size=4))
        ends.append(Dots([at], [last[at].mean()], color=color, size=10))
    names = ["none", *(f"{s:g}" for s in STRENGTHS[method])]
    ends.append(Line([at, at], [0, top], "shown above", "grey", dashed=True))
    panels = [
        Panel(over, f"{method}, {symbol} = {strength:g}: a curve for each seed", "epoch", "loss (nats)",
              y_limits=(0, top), height=290),
        Panel(ends, "At the end of training", f"strength {symbol}", "loss (nats)", (-0.3, len(names) - 0.7), (0, top),
              x_names=names, height=270),
    ]  # fmt: skip
    learned, validation = (
        float(results.values(arm(method, strength), measure).mean()) for measure in ("learned", "validation")
    )
    before = float(results.values(PLAIN, "validation").mean())
    alt = f"{method}, {symbol} = {strength:g}: training loss {learned:.3f}, validation loss {validation:.3f}, a gap of "
    alt += f"{validation - learned:.3f} nats; with nothing the validation loss is {before:.3f}. "
    return Scene(panels, f"{alt}Lowest of the four strengths in validation: {chosen(results, method):g}.")
