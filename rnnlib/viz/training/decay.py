"""Lesson 11's two weights that nothing needs: how L2 within Adam and decoupled weight decay take them to zero."""

from __future__ import annotations

import numpy as np

from rnnlib.optim import Adam, AdamW, Optimizer
from rnnlib.viz import Choice, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

COLORS = {"L2 in Adam": "vermillion", "AdamW": "blue"}
STEPS, RATE = 400, 0.01


def walk(rule: str, strength: float, share: float, steps: int = STEPS) -> np.ndarray:
    """The way of two weights from (1, 1), whose gradients cancel: ±1 for the first, ±share for the second, in turn.

    Args:
        rule: "L2 in Adam" or "AdamW".
        strength: λ.
        share: how large the gradients of the second weight are.
        steps: how many.

    Returns:
        (steps + 1, 2).
    """
    w = {"w": np.ones(2)}
    made: Optimizer = (Adam if rule == "L2 in Adam" else AdamW)(w, RATE, weight_decay=strength)
    path = np.ones((steps + 1, 2))
    for t in range(steps):
        made.step({"w": (-1.0) ** t * np.array([1.0, share])})
        path[t + 1] = w["w"]
    return path


def explorer() -> Explorer:
    """Two weights, two ways to zero."""
    return Explorer(
        draw,
        Slider("decay", "λ of AdamW", 0.0, 2.0, 0.1, value=0.5),
        Slider("power", "λ of L2, as a power of ten", -4.0, 0.0, 0.1, value=-2.0),
        Choice("share", "gradients of the second weight", ("1", "0.1", "0.01"), "0.1"),
        Slider("step", "after step", 1, STEPS, 1, value=STEPS, steps_per_second=60),
        title="Two ways to zero",
        description="Both weights are useless and their gradients cancel. Does a rule treat them alike?",
    )


def draw(decay: float, power: float, share: str, step: int) -> Scene:
    """Both ways from above, and each weight over time.

    Args:
        decay: λ of AdamW.
        power: λ of L2 is ten to it.
        share: the size of the second weight's gradients, that of the first being 1.
        step: how far the ways are drawn.
    """
    paths = {
        "L2 in Adam": walk("L2 in Adam", 10.0**power, float(share)),
        "AdamW": walk("AdamW", decay, float(share)),
    }
    above: list[Mark] = [Line([0, 1], [0, 1], "both alike", "grey", dashed=True)]
    over: list[Mark] = []
    told = []
    for name, path in paths.items():
        seen = path[: step + 1]
        above += [
            Line(seen[:, 0], seen[:, 1], name, COLORS[name]),
            Dots(seen[-1:, 0], seen[-1:, 1], color=COLORS[name]),
        ]
        over += [
            Line(np.arange(step + 1), seen[:, k], f"{name}, w{'₁₂'[k]}", COLORS[name], dashed=bool(k)) for k in range(2)
        ]
        told.append(f"{name} at ({path[step, 0]:.2f}, {path[step, 1]:.2f})")
    limits = -0.15, 1.05
    panels = [
        Panel(above, "From above", "w₁, large gradients", "w₂", limits, limits, height=300),
        Panel(over, "Over time", "step", "weight", (0, STEPS), limits, height=300),
    ]
    return Scene(panels, f"From (1, 1), gradients ±1 and ±{share}, after step {step}: {'; '.join(told)}. λ is "
                 f"{10.0**power:.2g} within Adam and {decay:.2g} in AdamW.", columns=2)  # fmt: skip
