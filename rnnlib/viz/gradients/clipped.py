"""What each kind of clipping does to a gradient in lesson 06: to two entries of it, and to that of a whole network.

How much shorter it becomes is the limit's doing; how far it turns is the kind's. So the kinds are compared at one
length.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from rnnlib.optim import clip_by_global_norm, clip_by_value, clip_per_tensor_norm, global_norm
from rnnlib.viz import Arrow, Bars, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

KINDS = {"by global norm": clip_by_global_norm, "per tensor": clip_per_tensor_norm, "by value": clip_by_value}
COLORS = {"by global norm": "blue", "per tensor": "green", "by value": "vermillion"}
Gradients = Mapping[str, np.ndarray]


def angle(first: Gradients, second: Gradients) -> float:
    """Between two gradients over all their entries, in degrees."""
    one, other = (np.concatenate([np.ravel(g[name]) for name in first]) for g in (first, second))
    one, other = one / np.linalg.norm(one), other / np.linalg.norm(other)
    # arccos would lose half the digits of a small angle
    return math.degrees(2 * math.atan2(float(np.linalg.norm(one - other)), float(np.linalg.norm(one + other))))


# ---- two entries ---------------------------------------------------------------------------------------------------

REACH = 4.5  # of the plane that is shown


def explorer() -> Explorer:
    """Two entries of one gradient as an arrow, and what is left of it."""
    return Explorer(
        plane,
        Slider("direction", "direction of the gradient", 0, 90, 1, value=15, unit="°"),
        Slider("norm", "its norm", 0.5, 4.0, 0.1, value=3.5),
        Slider("limit", "limit c", 0.2, 4.0, 0.1, value=1.0),
        title="A ball and a box",
        description="By global norm nothing leaves the ball of radius c; by value nothing leaves the box. Turn the "
        "gradient: where do the two arrows point the same way?",
    )


def plane(direction: float, norm: float, limit: float) -> Scene:
    """A gradient of two entries, clipped by norm and by value.

    Args:
        direction: 0° is along the first entry, 90° along the second.
        norm: its length.
        limit: c, for both kinds.
    """
    gradient = _arrow(direction, norm)
    left = {kind: KINDS[kind](gradient, limit)[0]["g"] for kind in ("by global norm", "by value")}
    round_ = np.linspace(0, np.pi / 2, 60)
    marks: list[Mark] = [
        Line(limit * np.cos(round_), limit * np.sin(round_), color=COLORS["by global norm"], dashed=True),
        Line([limit, limit, 0], [0, limit, limit], color=COLORS["by value"], dashed=True),
        Arrow(0, 0, float(gradient["g"][0]), float(gradient["g"][1]), color="ink", width=2),
    ]
    marks += [Arrow(0, 0, float(g[0]), float(g[1]), color=COLORS[kind], width=4) for kind, g in left.items()]
    first, second = (gradient["g"] * (1 + 0.3 / norm)).tolist()
    marks.append(Label(first, second, "g"))
    turned = {kind: angle(gradient, {"g": g}) for kind, g in left.items()}
    return Scene(
        [
            Panel(
                marks, "Two entries of a gradient", x_label="g₁", y_label="g₂", x_limits=(0, REACH),
                y_limits=(0, REACH), equal=True, height=340,
            ),
            _turned(direction, norm, limit, turned),
        ],
        alt=f"A gradient of norm {norm:g} at {direction:g}°, limit {limit:g}. "
        + ". ".join(f"{k[0].upper()}{k[1:]} norm {np.linalg.norm(g):.2f}, turned by {turned[k]:.0f}°"
                    for k, g in left.items()) + ".",
        columns=2,
    )  # fmt: skip


def _arrow(direction: float, norm: float) -> dict[str, np.ndarray]:
    radians = math.radians(direction)
    return {"g": norm * np.array([math.cos(radians), math.sin(radians)])}


def _turned(direction: float, norm: float, limit: float, turned: Mapping[str, float]) -> Panel:
    """How far both kinds turn a gradient of this norm, whatever its direction; a dot for this one."""
    directions = np.arange(91)
    marks: list[Mark] = []
    for kind, degrees in turned.items():
        each = [angle(g, KINDS[kind](g, limit)[0]) for g in (_arrow(float(d), norm) for d in directions)]
        marks += [
            Line(directions, each, kind, COLORS[kind]),
            Dots([direction], [degrees], color=COLORS[kind], size=11),
        ]
    return Panel(
        marks, "How far clipping turns it", x_label="direction of the gradient (°)", y_label="turned by (°)",
        x_limits=(0, 90), y_limits=(-1.5, 46), height=340,
    )  # fmt: skip


# ---- a whole network -----------------------------------------------------------------------------------------------


class Shortened(NamedTuple):
    """Attributes:
    gradients: by name, clipped.
    limit: that left the norm asked for.
    turned: the angle to the gradients before, in degrees.
    """

    gradients: dict[str, np.ndarray]
    limit: float
    turned: float


def shortened(gradients: Gradients, kind: str, share: float) -> Shortened:
    """The gradients clipped to a share of their norm, with the limit that does it.

    Args:
        gradients: by name.
        kind: one of KINDS.
        share: of the global norm that is left, above 0, at most 1.
    """
    norm = global_norm(gradients)
    low, high = 0.0, max(norm, 1e-300)  # no kind changes anything at this limit
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if global_norm(KINDS[kind](gradients, middle)[0]) < share * norm else (low, middle)
    clipped = KINDS[kind](gradients, high)[0]
    return Shortened(clipped, high, angle(gradients, clipped))


def network(gradients: Gradients, share: float = 0.1) -> Explorer:
    """The gradient of a network, clipped in three ways to one length."""
    gradients = {name: np.array(g, dtype=float) for name, g in gradients.items()}
    shares = np.concatenate([[0.02], np.arange(0.05, 1.01, 0.05)])
    curves = {kind: [shortened(gradients, kind, float(s)).turned for s in shares] for kind in KINDS}
    return Explorer(
        functools.partial(compared, gradients, shares, curves),
        Slider("share", "norm that is left", 2, 100, 2, value=round(100 * share), unit="%"),
        title="Three kinds of clipping, one length",
        description="Each kind gets the limit that leaves so much of the norm. What differs is the direction.",
    )


def compared(gradients: Gradients, shares: np.ndarray, curves: Mapping[str, list[float]], share: int) -> Scene:
    """How much of each tensor's gradient is left, and how far the whole has turned, for each kind.

    Args:
        gradients: by name.
        shares: (n,), of the norm that is left.
        curves: for each kind the angles at these shares, in degrees.
        share: of the norm that is left, in percent.
    """
    left = {kind: shortened(gradients, kind, share / 100) for kind in KINDS}
    names = list(gradients)
    norms = np.array([np.linalg.norm(g) for g in gradients.values()])
    bars: list[Mark] = []
    for i, (kind, each) in enumerate(left.items()):
        kept = np.array([np.linalg.norm(each.gradients[name]) for name in names]) / np.where(norms > 0, norms, 1)
        bars.append(Bars(np.arange(len(names)) + 0.25 * (i - 1), 100 * kept, kind, COLORS[kind], width=0.23))
    lines: list[Mark] = []
    for kind, each in left.items():
        lines += [
            Line(100 * shares, curves[kind], kind, COLORS[kind]),
            Dots([share], [each.turned], color=COLORS[kind], size=11),
        ]
    told = [f"{kind} at {each.limit:.2g}, turned by {each.turned:.0f}°" for kind, each in left.items()]
    return Scene(
        [
            Panel(
                bars, "What is left of each tensor's gradient", y_label="left (%)", x_names=[_short(n) for n in names],
                x_limits=(-0.6, len(names) - 0.4), y_limits=(0, 105), height=270,
            ),
            Panel(
                lines, "How far the whole gradient has turned", x_label="norm that is left (%)",
                y_label="turned by (°)", x_limits=(0, 100), y_limits=(-2, 92), height=270,
            ),
        ],
        alt=f"A gradient of norm {global_norm(gradients):.3g}, clipped to {share} % of it: {'; '.join(told)}.",
    )  # fmt: skip


def _short(name: str) -> str:
    """A parameter's name as it fits under a bar: the readout's are W and b, as in lesson 03."""
    known = {"embedding.weight": "embedding", "head.weight": "W", "head.bias": "b"}
    return known.get(name) or name.removeprefix("rnn.").replace("weight_", "W_").replace("bias_", "b_").replace(
        "_l0", ""
    )


# ---- what it leaves as it was ----------------------------------------------------------------------------------------


def by_lag(parts: np.ndarray, factors: Mapping[str, float]) -> Scene:
    """What each lag adds to a gradient, and the same multiplied by some factors, as clipping does.

    Args:
        parts: (T,), the norm of what the step at lag 0, 1, ... adds.
        factors: by name, at most four.
    """
    lags = np.arange(len(parts))
    colors = ("ink", "blue", "vermillion", "green")
    marks: list[Mark] = [Line(lags, f * parts, name, c) for (name, f), c in zip(factors.items(), colors, strict=False)]
    far, near = float(parts[len(parts) // 2]), float(parts[0])
    panel = Panel(
        marks, x_label="lag k (steps before the loss)", y_label="norm of what it adds", y_scale="log", height=280
    )
    return Scene(
        [panel],
        alt=f"Parallel falling lines for {', '.join(factors)}. In each, what lag {len(parts) // 2} adds is "
        f"{far / near:.1g} times what lag 0 adds.",
    )
