"""The chain rule on a graph small enough for a pencil: values go forwards in blue, gradients come back in red."""

from __future__ import annotations

import numpy as np

from rnnlib.cells.sigmoid import sigmoid
from rnnlib.viz import Arrow, Box, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

FORWARD, BACK = "blue", "vermillion"
X, TARGET = 2.0, 1.0
MOMENTS = 8  # a, h, y, L forwards; then y, h and v, a, and w, b and x get their gradients


def explorer() -> Explorer:
    """One hidden unit and a squared error: forwards, and back, a factor at a time."""
    return Explorer(
        graph,
        Slider("w", "weight w", -2.0, 2.0, 0.1, value=0.5),
        Slider("b", "bias b", -2.0, 2.0, 0.1, value=-0.5),
        Slider("v", "weight v", -2.0, 2.0, 0.1, value=1.5),
        Slider("moment", "moment", 1, MOMENTS, 1, value=MOMENTS, steps_per_second=1),
        title="The chain rule, on its way",
        description="Play the moment: values in blue go forwards, gradients in red come back. Then make the unit "
        "saturate with a large bias: which gradients die, and which one does not?",
    )


def graph(w: float, b: float, v: float, moment: int = MOMENTS) -> Scene:
    """a = w x + b, h = tanh(a), y = v h, L = (y - target)², as far as it is computed at this moment.

    Args:
        w, b, v: the parameters; x is 2 and the target 1.
        moment: 1 to 4: a, h, y and L are known; 5 to 8: so are the gradients of y, of h and v, of a, of w, b and x.
    """
    value, gradient = values(w, b, v), gradients(w, b, v)
    known = ("x", "w", "b", "v", "target", *("a", "h", "y", "L")[:moment])
    returned = [n for names in (("y",), ("h", "v"), ("a",), ("w", "b", "x"))[: max(moment - 4, 0)] for n in names]
    returned += ["L"] if moment >= 4 else []
    places = {name: (2.5 * i, 0) for i, name in enumerate(("x", "a", "h", "y", "L"))}
    below = {"w": (1.85, -1.5), "b": (3.15, -1.5), "v": (7.5, -1.5), "target": (10, -1.5)}
    marks: list[Mark] = []
    boxes = {}
    for name, (x, y) in (places | below).items():
        text = f"{name} = {value[name]:.4g}" if name in known else name
        boxes[name] = Box(x, y, text, width=1.3 if name in places else 1.15, height=0.62)
        back = f"{gradient[name]:+.4f}" if name in returned else ""
        marks += [boxes[name], Label(x, y + 0.52 if name in places else y - 0.52, back, BACK)]
    for start, end, told, rule in (
        ("x", "a", "· w + b", "· w"),
        ("a", "h", "tanh", "· (1 - h²)"),
        ("h", "y", "· v", "· v"),
        ("y", "L", "(y - target)²", "· 2 (y - target)"),
    ):
        marks += _both_ways(boxes[start], boxes[end], end in known, start in returned)
        middle = (boxes[start].x + boxes[end].x) / 2
        marks += [Label(middle, 0.34, told, FORWARD), Label(middle, -0.48, rule if start in returned else "", BACK)]
    for start, end in (("w", "a"), ("b", "a"), ("v", "y"), ("target", "L")):
        marks.append(Arrow.between(boxes[start], boxes[end], color=FORWARD if end in known else "grey"))
    panel = Panel(marks, axes=False, x_limits=(-0.8, 10.8), y_limits=(-2.3, 0.9), height=230)
    return Scene([panel], alt=_told(value, gradient, known, returned))


def values(w: float, b: float, v: float) -> dict[str, float]:
    """Every number on the way forwards, by name."""
    a = w * X + b
    h = float(np.tanh(a))
    y = v * h
    return {"x": X, "w": w, "b": b, "v": v, "target": TARGET, "a": a, "h": h, "y": y, "L": (y - TARGET) ** 2}


def gradients(w: float, b: float, v: float) -> dict[str, float]:
    """The gradient of the loss with respect to each of them but the target."""
    h, y = values(w, b, v)["h"], values(w, b, v)["y"]
    dy = 2 * (y - TARGET)
    dh = dy * v
    da = dh * (1 - h**2)
    return {"L": 1.0, "y": dy, "v": dy * h, "h": dh, "a": da, "w": da * X, "b": da, "x": da * w}


def _both_ways(start: Box, end: Box, forwards: bool, back: bool) -> list[Mark]:
    """The arrow forwards, and below it the one back, each once it is due."""
    there = Arrow.between(start, end)
    marks: list[Mark] = [
        Arrow(there.x, 0.1, there.to_x, 0.1, color=FORWARD if forwards else "grey", width=2 if forwards else 1)
    ]
    return marks + ([Arrow(there.to_x, -0.1, there.x, -0.1, color=BACK, width=2)] if back else [])


def _told(value: dict, gradient: dict, known: tuple[str, ...], returned: list[str]) -> str:
    forwards = ", ".join(f"{name} = {value[name]:.4g}" for name in ("a", "h", "y", "L") if name in known)
    back = ", ".join(f"{gradient[name]:+.4f} for {name}" for name in returned if name != "L")
    return f"x = {X:g}, w = {value['w']:g}, b = {value['b']:g}, v = {value['v']:g}, target {TARGET:g}. Forwards: " + (
        f"{forwards}. Back: {back}." if back else f"{forwards}. No gradient has come back yet."
    )


def two_losses() -> Scene:
    """Squared error and cross-entropy of a sigmoid's probability where the truth is yes, and what each says of a."""
    a = np.linspace(-8, 4, 241)
    p = sigmoid(a)
    shown = np.array([-6.0])
    at = sigmoid(shown)
    squared, entropy = 2 * (p - 1) * p * (1 - p), p - 1
    names = "squared error", "cross-entropy"

    def panel(curves: tuple, dots: tuple, title: str, label: str, limits: tuple[float, float]) -> Panel:
        marks: list[Mark] = []
        for curve, dot, name, color in zip(curves, dots, names, (FORWARD, BACK), strict=True):
            marks += [Line(a, curve, name, color, dashed=color == BACK), Dots(shown, dot, color=color, size=9)]
        return Panel(marks, title, x_label="logit z", y_label=label, y_limits=limits, height=260)

    return Scene(
        [
            panel(((p - 1) ** 2, -np.log(p)), ((at - 1) ** 2, -np.log(at)), "Loss", "loss", (-0.3, 8.5)),
            panel(
                (squared, entropy), (2 * (at - 1) * at * (1 - at), at - 1), "Its gradient", "∂loss / ∂z", (-1.1, 0.1)
            ),
        ],
        alt=f"Two losses against the logit z, where the truth is yes. At z = -6 the squared error is "
        f"{((at - 1) ** 2)[0]:.3f} with gradient {(2 * (at - 1) * at * (1 - at))[0]:.4f}; the cross-entropy is "
        f"{-np.log(at)[0]:.2f} with gradient {(at - 1)[0]:.3f}.",
        columns=2,
    )
