"""One neuron, as lesson 01 shows it: the cell it is named after, its activation with the slope, and its arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from rnnlib.cells.sigmoid import sigmoid
from rnnlib.viz import Arrow, Box, Choice, Dots, Explorer, Heatmap, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

Function = Callable[[np.ndarray], np.ndarray]

# Each activation φ(a) with its slope φ'(a); the slopes of sigmoid and tanh are written with the output itself.
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "step": (lambda a: np.where(a > 0, 1.0, 0.0), lambda a: np.zeros_like(a)),
    "sigmoid": (sigmoid, lambda a: sigmoid(a) * (1 - sigmoid(a))),
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "ReLU": (lambda a: np.maximum(a, 0.0), lambda a: np.where(a > 0, 1.0, 0.0)),
}
SIGNED = ("tanh", "ReLU")  # 0 is in the middle of the colours; else one half is
GOALS = {"AND": (0, 0, 0, 1), "OR": (0, 1, 1, 1), "XOR": (0, 1, 1, 0)}
CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)  # in the order of the goals
NAMES = tuple(f"({x1:g}, {x2:g})" for x1, x2 in CORNERS)
VALUE, SLOPE = "blue", "vermillion"
SPAN = np.linspace(-0.5, 1.5, 41)  # of the plane of inputs
REACH = 6.0  # of the curve: sums from -6 to 6


# ---- diagrams ----------------------------------------------------------------------------------------------------


def analogy() -> Scene:
    """A nerve cell and the unit named after it, one above the other, part by part."""
    marks: list[Mark] = []
    rows = {
        "nerve cell": ("other\ncells", "synapses", "cell body\nadds up", "threshold", "axon:\na spike or none"),
        "unit": ("inputs\nx", "weights\nw", "sum\na = w·x + b", "activation\nφ", "output\nh = φ(a)"),
    }
    for y, (name, parts) in zip((1.0, -0.2), rows.items(), strict=True):
        boxes = [Box(1.9 * i, y, text, width=1.45, height=0.72) for i, text in enumerate(parts)]
        color = "grey" if name == "nerve cell" else VALUE
        marks += [*boxes, Label(-1.0, y, name, align="right")]
        marks += [Arrow.between(a, b, color=color, width=2) for a, b in itertools.pairwise(boxes)]
    panel = Panel(marks, axes=False, x_limits=(-2.3, 8.5), y_limits=(-0.7, 1.5), height=190)
    return Scene(
        [panel],
        alt="Two rows of five boxes. A nerve cell: other cells, synapses, a cell body that adds up, a threshold, an "
        "axon that carries a spike or none. Below, part by part, a unit: inputs x, weights w, the sum a = w·x + b, an "
        "activation, the output h.",
    )


def curves() -> Scene:
    """Sigmoid, tanh and ReLU in a panel each, with their slopes."""
    a = np.linspace(-REACH, REACH, 241)
    panels, spoken = [], []
    for name in ("sigmoid", "tanh", "ReLU"):
        value, slope = ACTIVATIONS[name]
        panels.append(
            _curve(name, [Line(a, value(a), "φ(a)", VALUE), Line(a, slope(a), "slope φ'(a)", SLOPE)], "φ and its slope")
        )
        spoken.append(f"{name} has slope {slope(np.array(0.001)):.2f} just above 0 and {slope(np.array(5.0)):.2g} at 5")
    return Scene(panels, alt=f"Three activations and their slopes: {'; '.join(spoken)}.", columns=3)


def _curve(title: str, marks: list[Mark], label: str, low: float = -1.15) -> Panel:
    return Panel(
        marks, title, x_label="weighted sum a", y_label=label, x_limits=(-REACH, REACH), y_limits=(low, 2.15),
        height=230,
    )  # fmt: skip


def network(x: np.ndarray, W1: np.ndarray, b1: np.ndarray, W2: np.ndarray, b2: np.ndarray) -> Scene:
    """A network of step units with one hidden layer: every unit with its output for one input, every weight beside it.

    Args:
        x: (D,), W1: (H, D), b1: (H,), W2: (V, H), b2: (V,).
    """
    step = ACTIVATIONS["step"][0]
    h = step(W1 @ x + b1)
    y = step(W2 @ h + b2)
    columns = []
    for at, (values, name) in enumerate(((x, "x"), (h, "h"), (y, "y"))):
        middle = (len(values) - 1) / 2
        columns.append(
            [
                Box(2.6 * at, 1.3 * (middle - i), f"{name}{_low(i + 1)} = {v:g}", v, width=1.1, height=0.6, limit=2.0)
                for i, v in enumerate(values)
            ]
        )
    marks: list[Mark] = [box for column in columns for box in column]
    for before, after, W in ((columns[0], columns[1], W1), (columns[1], columns[2], W2)):
        for i, receiver in enumerate(after):
            for j, sender in enumerate(before):
                color = VALUE if W[i, j] < 0 else "orange"
                arrow = Arrow.between(sender, receiver, color=color, width=1 + abs(float(W[i, j])))
                near = 0.3  # the label stands near the sender, where arrows have not crossed yet
                at_x, at_y = arrow.x + near * (arrow.to_x - arrow.x), arrow.y + near * (arrow.to_y - arrow.y)
                marks += [arrow, Label(at_x, at_y + 0.16, f"{W[i, j]:+g}")]
    for column, biases in ((columns[1], b1), (columns[2], b2)):
        marks += [Label(box.x, box.y - 0.47, f"bias {b:+g}") for box, b in zip(column, biases, strict=True)]
    marks += [Label(2.6 * at, 1.55, name) for at, name in enumerate(("inputs", "hidden layer", "output"))]
    panel = Panel(marks, axes=False, x_limits=(-0.9, 6.1), y_limits=(-1.4, 1.8), height=240)
    return Scene(
        [panel],
        alt=f"A network of {len(x)} inputs, {len(h)} hidden units and {len(y)} output, with its weights. For the input "
        f"{x.tolist()} the hidden units say {h.tolist()} and the output {y.tolist()}.",
    )


# ---- the explorer ------------------------------------------------------------------------------------------------


def explorer() -> Explorer:
    """One neuron with two inputs: weights, bias and activation under sliders, a truth table to hit."""
    return Explorer(
        neuron,
        Slider("w1", "weight w₁", -6.0, 6.0, 0.5, value=1.0),
        Slider("w2", "weight w₂", -6.0, 6.0, 0.5, value=-0.5),
        Slider("b", "bias b", -6.0, 6.0, 0.5, value=0.0),
        Choice("activation", "activation φ", tuple(ACTIVATIONS), "sigmoid"),
        Choice("goal", "to learn", tuple(GOALS), "AND"),
        Choice("shown", "input shown on top", NAMES, NAMES[3]),
        title="One neuron",
        description="Set weights and bias by hand until all four corners are right. Which of the three goals can a "
        "single neuron reach?",
    )


def answers(w1: float, w2: float, b: float) -> np.ndarray:
    """Which corners (4,) the neuron says yes to: those whose weighted sum is above 0."""
    return CORNERS @ [w1, w2] + b > 0


def neuron(w1: float, w2: float, b: float, activation: str, goal: str, shown: str) -> Scene:
    """One neuron on the four corners of the unit square.

    Args:
        w1, w2, b: weights and bias.
        activation: one of ACTIVATIONS.
        goal: one of GOALS, the corners that should get a yes.
        shown: one of NAMES, the corner whose arithmetic is written out.
    """
    sums, wanted = CORNERS @ [w1, w2] + b, np.array(GOALS[goal], dtype=bool)
    right, at = int((answers(w1, w2, b) == wanted).sum()), NAMES.index(shown)
    (x1, x2), a = CORNERS[at], sums[at : at + 1]
    value, slope = ACTIVATIONS[activation]
    near = a + np.array([-1.5, 1.5])
    tangent = Line(near, value(a) + slope(a) * (near - a), color="ink")
    return Scene(
        [
            _arithmetic(x1, x2, w1, w2, b, float(a[0]), activation),
            _plane(w1, w2, b, activation, wanted, f"{goal}: {right} of 4 right"),
            _with_dots("The activation φ(a), and its tangent", value, sums, at, VALUE, tangent),
            _with_dots("Its slope φ'(a)", slope, sums, at, SLOPE),
        ],
        alt=f"{goal}, {right} of 4 corners right. Input {shown}: the sum is a = {w1:g}·{x1:g} + {w2:g}·{x2:g} + {b:g} "
        f"= {a[0]:g}, the output {activation}(a) = {value(a)[0]:.3f}, its slope there {slope(a)[0]:.3f}.",
        columns=2,
    )


def _arithmetic(x1: float, x2: float, w1: float, w2: float, b: float, a: float, activation: str) -> Panel:
    """Inputs, weights, sum and output as boxes; an arrow is as wide as its weight is large."""
    h = float(ACTIVATIONS[activation][0](np.array(a)))
    shade = h if activation in SIGNED else 2 * h - 1  # white in the middle of its range, as in the plane beside it
    entries = [Box(0, 1.2, f"x₁ = {x1:g}", width=1.3, height=0.6), Box(0, 0, f"x₂ = {x2:g}", width=1.3, height=0.6)]
    one = Box(0, -1.2, "1", width=1.3, height=0.6)
    total = Box(2.6, 0, f"sum\na = {a:g}", a, width=1.3, height=1.0, limit=REACH)
    output = Box(2.6, -1.9, f"{activation}(a)\nh = {h:.3f}", shade, width=2.0, height=1.0)
    marks: list[Mark] = [*entries, one, total, output, Arrow.between(total, output, color=VALUE, width=2)]
    for box, weight, name in zip((*entries, one), (w1, w2, b), ("w₁", "w₂", "b"), strict=True):
        if weight:
            arrow = Arrow.between(box, total, color=VALUE if weight < 0 else "orange", width=0.8 + abs(weight))
            marks.append(arrow)
        marks.append(Label(-0.75, box.y, f"{name} = {weight:g}", align="right"))
    return Panel(marks, "The arithmetic", axes=False, x_limits=(-2.1, 3.8), y_limits=(-2.6, 1.7), height=300)


def _plane(w1: float, w2: float, b: float, activation: str, wanted: np.ndarray, title: str) -> Panel:
    """The output over the plane of inputs, the line where the sum is 0, and the corners with what they should get."""
    value = ACTIVATIONS[activation][0]
    signed = activation in SIGNED
    grid = value(w1 * SPAN[None] + w2 * SPAN[::-1, None] + b)  # row 0 is on top
    marks: list[Mark] = [
        Heatmap(
            grid[::-1], label="output h", limits=(-1, 1) if signed else (0, 1), center=0.0 if signed else 0.5,
            x_range=(SPAN[0], SPAN[-1]), y_range=(SPAN[0], SPAN[-1]),
        )
    ]  # fmt: skip
    marks += _border(w1, w2, b)
    for (x1, x2), yes, said in zip(CORNERS, wanted, answers(w1, w2, b), strict=True):
        text = f"{'yes' if yes else 'no'} {'✓' if yes == said else '✗'}"
        marks.append(Box(x1, x2, text, 1.0 if yes else -1.0, width=0.55, height=0.3, limit=2.0))
    return Panel(marks, title, x_label="input x₁", y_label="input x₂", equal=True, height=300)


def _border(w1: float, w2: float, b: float) -> list[Mark]:
    """The line w₁ x₁ + w₂ x₂ + b = 0, as far as it lies in the plane shown."""
    if w1 == w2 == 0:
        return []
    along = SPAN if abs(w2) >= abs(w1) else -(w2 * SPAN + b) / w1
    across = -(w1 * SPAN + b) / w2 if abs(w2) >= abs(w1) else SPAN
    inside = (np.abs(along - 0.5) <= 1) & (np.abs(across - 0.5) <= 1)
    return [Line(along[inside], across[inside], color="green", dashed=True)] if inside.sum() > 1 else []


def _with_dots(title: str, function: Function, sums: np.ndarray, shown: int, color: str, *beside: Mark) -> Panel:
    """A function of the sum, with a dot for each of the four inputs, a large one for the input shown."""
    a, inside = np.linspace(-REACH, REACH, 241), np.clip(sums, -REACH, REACH)
    at = inside[shown : shown + 1]
    dots = Dots(inside, function(inside), color=color, size=8), Dots(at, function(at), color=color, size=13)
    label, low = ("output h", -1.15) if color == VALUE else ("slope", -0.15)
    return _curve(title, [Line(a, function(a), color=color), *beside, *dots], label, low)


def _low(number: int) -> str:
    """A number as a subscript."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
