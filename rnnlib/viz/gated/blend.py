"""The pictures and the first explorer of lesson 08: one GRU unit whose two gates stand where a reader puts them.

Blue goes forwards and vermillion back, as in lesson 04. Of the gates, z is blue, since it keeps as the LSTM's f does,
and r is purple; the candidate n is green.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnlib.cells import gru
from rnnlib.viz import Band, Bars, Box, Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.gated.carousel import BACK, arrows
from rnnlib.viz.scene import Mark

KEEP, RESET, CANDIDATE = "blue", "purple", "green"


# ---- the cell as a diagram ---------------------------------------------------------------------------------------


def cell(back: bool = False) -> Scene:
    """What is computed from what in one step; with `back`, the gradients that return too."""
    alt = (
        "The state runs straight through from left to right: h of the step before, times z, plus the candidate n times "
        "1 − z, is the new h. z, r and n are computed from x and the h before; what the h before says to n is "
        "multiplied by r first."
    )
    if back:
        alt += (
            " Red arrows run back along the state: from the new h through the sum unchanged, and times z to the h "
            "before; others from there to n, to z (by two ways, which meet), from n to r, and down to x and the h "
            "before."
        )
    return Scene([_diagram(back)], alt=alt)


def _diagram(back: bool) -> Panel:
    before, after = Box(0, 2, "hₜ₋₁", width=1.5, height=0.62), Box(10.4, 2, "hₜ", width=1.3, height=0.62)
    keep, add, write, release = (
        Box(x, y, text, width=0.5, height=0.5)
        for x, y, text in ((2.4, 2, "×"), (5.6, 2, "+"), (5.6, 0.9, "×"), (7.4, -0.3, "×"))
    )
    z, n, r = (Box(x, -0.3, name, width=1.25, height=0.62) for x, name in ((2.4, "z"), (5.6, "n"), (9.2, "r")))
    rest, entry = Box(4, 0.9, "1 − z", width=1.1, height=0.5), Box(5.8, -1.7, "xₜ and hₜ₋₁", width=8.2, height=0.55)
    marks: list[Mark] = [before, after, keep, add, write, release, z, n, r, rest, entry]
    pairs = [
        (before, keep, 3.0), (keep, add, 3.0), (add, after, 3.0), (z, keep, 1.5), (z, rest, 1.5), (rest, write, 1.5),
        (n, write, 1.5), (write, add, 1.5), (release, n, 1.5), (r, release, 1.5),
    ]  # fmt: skip
    pairs += [(Box(box.x, -1.7, width=0.1, height=0.55), box, 1.5) for box in (z, n, release, r)]
    for start, end, width in pairs:
        marks += arrows(start, end, back, width)
    return Panel(marks, axes=False, x_limits=(-0.9, 11.2), y_limits=(-2.1, 2.5), height=270)


# ---- the explorer ------------------------------------------------------------------------------------------------

STEPS, WRITE = 35, 5
WEIGHT = 0.8  # of the unit on itself, in its candidate
LEAST = 1e-6  # of the gradients shown


class Operated(NamedTuple):
    """A unit over STEPS steps, every entry (STEPS,).

    Attributes:
        alone: what the input alone says, tanh(a^n).
        before, h: the state before and after each step.
        z, r, n: the gates and the candidate.
        a_n, q_n: what input and state say to the candidate.
        dh: ∂h_last/∂h_t.
    """

    alone: np.ndarray
    before: np.ndarray
    h: np.ndarray
    z: np.ndarray
    r: np.ndarray
    n: np.ndarray
    a_n: np.ndarray
    q_n: np.ndarray
    dh: np.ndarray


def operated(z: float, r: float) -> Operated:
    """A GRU of one unit that reads noise, its gates held by hand; at step WRITE z is 0, so that the candidate is taken.

    Args:
        z: the update gate at all other steps, 0 to 1.
        r: the reset gate at all steps, 0 to 1.
    """
    a = np.zeros((STEPS, 1, gru.GATES))  # the sums of r, z and n, which in a network (1) would give
    a[:, 0, 0], a[:, 0, 1] = _sum_for(r), _sum_for(z)
    a[:, 0, 2] = np.random.default_rng(4).uniform(-1.2, 1.2, STEPS)
    a[WRITE - 1, 0, 1:] = _sum_for(0), 1.5
    h, caches, hs = np.zeros((1, 1)), [], []
    for a_t in a:
        h, cache = gru.update_forward(a_t, np.array([[0, 0, WEIGHT * h.item()]]), h)
        caches.append(cache)
        hs.append(h.item())
    dh, arrived = np.ones((1, 1)), np.zeros(STEPS)
    for t in reversed(range(STEPS)):
        arrived[t] = dh.item()
        _, dq, kept = gru.update_backward(dh, caches[t])
        dh = kept + WEIGHT * dq[:, 2:]  # by hand: the gates do not listen to h
    before, opened, kept, n, q_n = (np.array([value.item() for value in part]) for part in zip(*caches, strict=True))
    a_n = a[:, 0, 2]
    return Operated(np.tanh(a_n), before, np.array(hs), kept, opened, n, a_n, q_n, arrived)


def _sum_for(gate: float) -> float:
    """The sum whose σ is this gate; for 0 and 1 one that comes within a millionth of a millionth."""
    inside = float(np.clip(gate, 1e-12, 1 - 1e-12))
    return float(np.log(inside / (1 - inside)))


def explorer() -> Explorer:
    """One unit whose gates are operated by hand: r opens the past to the candidate, z blends it with the old state."""
    return Explorer(
        operate,
        Slider("z", "update gate z", 0.0, 1.0, 0.005, value=0.0),
        Slider("r", "reset gate r", 0.0, 1.0, 0.05, value=1.0),
        Slider("step", "step shown above", 1, STEPS, 1, value=12, steps_per_second=3),
        title="One unit, two gates",
        description=f"At step {WRITE} something is written. Keep it until step {STEPS}.",
    )


def operate(z: float, r: float, step: int) -> Scene:
    """One step in detail, then the state over all steps and the gradient that comes back.

    Args:
        z, r: as in `operated`.
        step: the one in detail, from 1.
    """
    run = operated(z, r)
    return Scene([*_one_step(run, step), *_all_steps(run, step)], alt=_told(run, step), columns=2)


def _one_step(run: Operated, step: int) -> tuple[Panel, Panel]:
    """Where r puts the candidate, and where z puts the new state between it and the old one."""
    t, ends = step - 1, np.linspace(0, 1, 41)
    candidates = np.tanh(run.a_n[t] + ends * run.q_n[t])
    a, b = run.n[t], run.before[t]
    limits = (-1.05, 1.05)
    return (
        Panel(
            [
                Line(ends, candidates, "n, for every r", CANDIDATE),
                Dots([run.r[t]], [a], "n", CANDIDATE, size=11),
                Dots([0], [run.alone[t]], "the input alone", "grey", size=9),
            ],
            f"Step {step}: r opens the past", "reset gate r", "value", y_limits=limits, x_limits=(-0.05, 1.05),
            height=240,
        ),
        Panel(
            [
                Line(ends, (1 - ends) * a + ends * b, "h, for every z", KEEP),
                Dots([0], [a], "n", CANDIDATE, size=9),
                Dots([1], [b], "h before", "ink", size=9),
                Dots([run.z[t]], [run.h[t]], "h", KEEP, size=12),
            ],
            f"Step {step}: z blends", "update gate z", "value", y_limits=limits, x_limits=(-0.05, 1.05), height=240,
        ),
    )  # fmt: skip


def _all_steps(run: Operated, step: int) -> tuple[Panel, Panel]:
    """The state, and the gradient of its last value."""
    steps, span = np.arange(1, STEPS + 1), (0.0, STEPS + 1.0)
    back = np.where(run.dh >= LEAST, run.dh, np.nan)
    written = run.h[WRITE - 1]
    return (
        Panel(
            [
                Band([step - 0.5, step + 0.5], [-1.05, -1.05], [1.05, 1.05], color="grey"),
                Bars(steps, run.alone, "the input alone", "grey", width=0.5),
                Line(steps, run.h, "h", KEEP),
                Dots([WRITE], [written], "to be kept", CANDIDATE, size=9),
                Dots([STEPS], [run.h[-1]], "read", BACK, size=9),
            ],
            "The state", "step t", "value", y_limits=(-1.05, 1.05), x_limits=span, height=240,
        ),
        Panel(
            [
                Band([step - 0.5, step + 0.5], [LEAST, LEAST], [3, 3], color="grey"),
                Line(steps, back, "", BACK),
                Dots(steps, back, color=BACK, size=4),
            ],
            "The gradient, back from the reading", "step t", f"∂h_{STEPS} / ∂h_t", y_scale="log", y_limits=(LEAST, 3),
            x_limits=span, height=240,
        ),
    )  # fmt: skip


def _told(run: Operated, step: int) -> str:
    t = step - 1
    return (
        f"Step {step}: the input alone says {_short(run.alone[t])}, with r = {_short(run.r[t])} the candidate is "
        f"{_short(run.n[t])}; the state was {_short(run.before[t])}, with z = {_short(run.z[t], 3)} it becomes "
        f"{_short(run.h[t])}. At step {WRITE}, {_short(run.h[WRITE - 1])} was written; at step {STEPS} the state is "
        f"{_short(run.h[-1])}, and {run.dh[WRITE - 1]:.2g} of the gradient comes back to step {WRITE}."
    )


def _short(value: float, digits: int = 2) -> str:
    """Rounded, with a minus that reads as one, and none before a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


# ---- plots -------------------------------------------------------------------------------------------------------


def parting(after: np.ndarray, before: np.ndarray) -> Scene:
    """One unit's state under both conventions, from the same weights.

    Args:
        after, before: (T,), the reset gate after the recurrent product, and before it.
    """
    steps = np.arange(1, len(after) + 1)
    marks: list[Mark] = []
    for values, name, color in ((after, "reset after", KEEP), (before, "reset before", "orange")):
        marks += [Line(steps, values, name, color), Dots(steps, values, color=color)]
    apart = np.abs(after - before)
    panel = Panel(marks, x_label="step t", y_label="h of one unit", height=240)
    return Scene(
        [panel],
        alt=f"The same weights, two conventions, over {len(after)} steps: {apart[0]:.1g} apart at the first step, "
        f"{apart.max():.2f} at most.",
    )


def fitting(errors: Mapping[str, np.ndarray]) -> Scene:
    """How near a cell comes to the states of another while it is trained to imitate them.

    Args:
        errors: by name, (updates,), root mean square over all states.
    """
    marks = [
        Line(np.arange(1, len(values) + 1), values, name, color)
        for (name, values), color in zip(errors.items(), (KEEP, "orange", "green"), strict=False)
    ]
    ends = ", ".join(f"{name} {values[-1]:.1e}" for name, values in errors.items())
    panel = Panel(marks, x_label="updates", y_label="error of a state (rms)", y_scale="log", height=250)
    return Scene([panel], alt=f"The error after {len(next(iter(errors.values())))} updates: {ends}.")
