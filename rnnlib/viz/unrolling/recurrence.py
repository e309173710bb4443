"""The pictures and explorers of lesson 03: a state that is handed from step to step, and what it remembers.

Every network here is untrained. Whatever it remembers, the recurrence alone does.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.cells import rnn
from rnnlib.layers import linear_forward
from rnnlib.probes import past_readout, recall, saturation, spectral_radius
from rnnlib.viz import Arrow, Bars, Box, Choice, Dots, Explorer, Heatmap, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

Weights = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
WIRE = 0.05  # weights below this draw no arrow


def random_weights(D: int, H: int, radius: float, seed: int = 0, input_scale: float = 0.3) -> Weights:
    """Weights that nobody trained: normal random numbers, W_hh rescaled to a spectral radius, biases zero.

    Args:
        D, H: inputs and hidden units.
        radius: the spectral radius of W_hh: the largest |eigenvalue|, what one step does to a state in the long run.
        seed: of the random numbers.
        input_scale: the standard deviation of W_ih; large inputs saturate the units.

    Returns:
        W_ih (H, D), W_hh (H, H), b_ih (H,), b_hh (H,), in the order of `rnn.forward`.
    """
    W_ih, W_hh = _drawn(D, H, seed)
    return input_scale * W_ih, radius * W_hh, np.zeros(H), np.zeros(H)


@functools.lru_cache(maxsize=16)  # eigenvalues take longer than a picture may
def _drawn(D: int, H: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal random numbers (H, D), and (H, H) with a spectral radius of one."""
    rng = np.random.default_rng(seed)
    W_hh = rng.normal(size=(H, H))
    return rng.normal(size=(H, D)), W_hh / spectral_radius(W_hh)


# ---- diagrams ----------------------------------------------------------------------------------------------------


def loop_and_unrolled() -> Scene:
    """The network as one cell that feeds itself, and the same network written out over four steps."""
    marks: list[Mark] = [Label(0, 1.75, "as a loop"), Label(5.2, 1.75, "unrolled"), Label(1.6, 0, "=")]
    marks += _cell(0, "x", "h", "y")
    marks += [
        Line([0.35, 0.75, 0.75, 0.25], [0.1, 0.1, -0.6, -0.6], color="vermillion"),
        Arrow(0.25, -0.6, 0.25, -0.25, color="vermillion", width=2),
        Label(0.85, -0.25, "W_hh", align="left"),
        Label(-0.1, -0.6, "W_ih", align="right"),
    ]
    before = Box(2.4, 0, "h₀", width=0.7)
    marks.append(before)
    for t in range(1, 5):
        column = _cell(2.4 + 1.4 * t, *(f"{name}{_low(t)}" for name in "xhy"))
        marks += [*column, Arrow.between(before, column[0], "W_hh", color="vermillion", width=2)]
        before = column[0]
    panel = Panel(marks, axes=False, x_limits=(-0.7, 8.5), y_limits=(-1.6, 2), height=250)
    return Scene(
        [panel],
        alt="Left: x enters the state h through W_ih, h enters itself through W_hh, and y leaves it through W. Right: "
        "the same written out, h₀ to h₄ in a row; every step has its own x, h and y, all share W_ih, W_hh and W.",
    )


def _cell(at: float, x: str, h: str, y: str) -> tuple[Box, Box, Box, Arrow, Arrow]:
    """The boxes of one step, state first, and the arrows through it from the input to the output."""
    state, entry, output = (Box(at, level, name, width=0.7) for level, name in ((0, h), (-1.2, x), (1.2, y)))
    inwards = Arrow.between(entry, state, "" if h == "h" else "W_ih")  # the loop runs where its label would stand
    return state, entry, output, inwards, Arrow.between(state, output, "W")


def unrolled(x: np.ndarray, hs: np.ndarray, W_ih: np.ndarray, W_hh: np.ndarray) -> Scene:
    """A small network unrolled: every unit at every step, coloured by its state; an arrow for each weight.

    Args:
        x: (T, N, 1) and hs: (T, N, H), of which the first sequence is drawn; the state before it is taken as zero.
        W_ih: (H, 1), W_hh: (H, H); a weight of almost zero draws no arrow.
    """
    states = np.concatenate([np.zeros((1, hs.shape[2])), hs[:, 0]])
    T, H = len(x), hs.shape[2]
    units = [[Box(t, -i, f"{h:.2f}", h, 0.62, 0.55) for i, h in enumerate(row)] for t, row in enumerate(states)]
    entries = [Box(t, 1.3, f"{v:.1f}", v, 0.62, 0.55) for t, v in enumerate(x[:, 0, 0], start=1)]
    marks: list[Mark] = []
    for before, after, entry in zip(units, units[1:], entries, strict=False):
        marks += [_into(entry, after[i]) for i in range(H) if abs(W_ih[i, 0]) > WIRE]
        marks += [
            Arrow.between(before[j], after[i], color="vermillion")
            for i in range(H)
            for j in range(H)
            if abs(W_hh[i, j]) > WIRE
        ]
    marks += [box for column in units for box in column] + entries
    marks += [Label(-0.5, -i, f"unit {i}", align="right") for i in range(H)]
    marks += [Label(0.5, 1.3, "input x", align="right"), *(Label(t, -H + 0.3, f"h{_low(t)}") for t in range(T + 1))]
    panel = Panel(marks, axes=False, x_limits=(-1.3, T + 0.5), y_limits=(-H, 1.8), height=80 + 42 * (H + 1))
    return Scene(
        [panel], alt=f"The network unrolled over {T} steps. States of the units, step by step: {_spoken(states)}."
    )


def _into(entry: Box, unit: Box) -> Arrow:
    """From an input above down to a unit, along the left of the units between."""
    if unit.y == 0:
        return Arrow.between(entry, unit)
    return Arrow(entry.x - 0.38, entry.y - 0.3, unit.x - 0.32, unit.y + 0.1)


def _spoken(rows: np.ndarray) -> str:
    return "; ".join(", ".join(f"{v:.2f}" for v in row) for row in rows)


def patterns() -> Scene:
    """Many to one, many to many, one to many: which inputs and which outputs of the unrolled network are used."""

    def diagram(title: str, reads: Sequence[int], writes: Sequence[int], fed_back: bool = False) -> Panel:
        states = [Box(t, 0, f"h{_low(t + 1)}", width=0.6) for t in range(4)]
        marks: list[Mark] = [*states]
        marks += [Arrow.between(a, b, color="vermillion") for a, b in itertools.pairwise(states)]
        for t in reads:
            marks += [box := Box(t, -1.2, f"x{_low(t + 1)}", width=0.6), Arrow.between(box, states[t])]
        for t in writes:
            marks += [box := Box(t, 1.2, f"y{_low(t + 1)}", width=0.6), Arrow.between(states[t], box)]
        if fed_back:
            marks += [Arrow(t + 0.32, 1.0, t + 0.85, 0.28, color="green") for t in range(3)]
        return Panel(marks, title=title, axes=False, x_limits=(-0.5, 3.5), y_limits=(-1.6, 1.6), height=220)

    every = range(4)
    return Scene(
        [
            diagram("Many to one", every, [3]),
            diagram("Many to many", every, every),
            diagram("One to many", [0], every, fed_back=True),
        ],
        alt="Three unrolled networks of four steps. Many to one: four inputs, one output after the last. Many to many: "
        "an output at every step. One to many: one input, an output at every step, each fed into the next state.",
        columns=3,
    )


# ---- plots -------------------------------------------------------------------------------------------------------


def recall_by_lag(remembered: Mapping[str, np.ndarray]) -> Scene:
    """Recall against lag, a line for each name: 1 is remembered exactly, 0 forgotten."""
    spoken = ", ".join(f"{name} falls below one half {_fall(values)}" for name, values in remembered.items())
    return Scene([_recall_panel(remembered)], alt=f"Recall against lag: {spoken}.")


def _fall(remembered: np.ndarray) -> str:
    """The first lag at which less than half is remembered, in words."""
    below = np.flatnonzero(remembered < 0.5)
    return f"at lag {below[0]}" if len(below) else "nowhere"


def _recall_panel(
    remembered: Mapping[str, np.ndarray], title: str = "", beside: Sequence[Mark] = (), height: int = 260
) -> Panel:
    marks = list(beside)
    for (name, values), color in zip(remembered.items(), ("vermillion", "blue", "green"), strict=False):
        lags = np.arange(len(values))
        marks += [Line(lags, values, name, color), Dots(lags, values, color=color)]
    return Panel(marks, title, x_label="lag (steps ago)", y_label="recall (0 to 1)", y_limits=(0, 1.05), height=height)


def next_symbol(text: str, probs: np.ndarray, symbols: Sequence[str]) -> Scene:
    """What is expected next, (len(text), V), under each symbol just read; a dot marks what did come.

    Args:
        text: one symbol longer than what was read, so that every position has a next symbol.
        probs: (len(text) - 1, V).
        symbols: the V symbols in the order of the classes.
    """
    came = [list(symbols).index(c) for c in text[1:]]
    marks = [Heatmap(probs.T, label="probability", limits=(0, 1)), Dots(np.arange(len(came)), came, color="ink")]
    chance = probs[np.arange(len(came)), came]
    panel = Panel(
        marks,
        x_label="symbol just read",
        y_label="next symbol",
        x_names=[_visible(c) for c in text[:-1]],
        y_names=[_visible(c) for c in symbols],
        height=250,
    )
    least = f"the one that came gets {chance.min():.2f} or more"
    return Scene([panel], alt=f"Probability of each next symbol while reading {text[:-1]!r}; {least}.")


def _visible(symbol: str) -> str:
    return "␣" if symbol == " " else symbol


def size_over_time(sizes: Mapping[str, np.ndarray], title: str = "") -> Scene:
    """How large a state is at every step, a line for each name, on a logarithmic axis."""
    spoken = ", ".join(f"{name} ends at {values[-1]:.3g}" for name, values in sizes.items())
    return Scene(
        [_size_panel(sizes, title, least=1e-6)],
        alt=f"Size of the state over {len(next(iter(sizes.values())))} steps: {spoken}.",
    )


def _size_panel(sizes: Mapping[str, np.ndarray], title: str, height: int = 260, least: float = 1e-2) -> Panel:
    lines = [Line(np.arange(1, len(v) + 1), np.where(v > 0, v, np.nan), name) for name, v in sizes.items()]
    return Panel(
        lines, title, x_label="time (steps)", y_label="size of the state", y_scale="log", y_limits=(least, 1e6),
        height=height,
    )  # fmt: skip


def windows(years: np.ndarray, numbers: np.ndarray, starts: np.ndarray, gaps: Mapping[str, np.ndarray]) -> Scene:
    """A series read in windows, and below it how far the states are from those of one long run.

    Args:
        years, numbers: (T,), the series.
        starts: the years in which a window starts.
        gaps: by name, (T,): the largest difference of any unit at each step.
    """
    span = float(years[0]), float(years[-1])
    high = 1.1 * max(float(gap.max()) for gap in gaps.values())
    marks: list[Mark] = [Line(years, gap, name) for name, gap in gaps.items()]
    marks.append(Dots(starts, np.full(len(starts), -0.06 * high), "a window starts", color="grey", size=4))
    spoken = ", ".join(f"{name}: at most {gap.max():.2g}" for name, gap in gaps.items())
    return Scene(
        [
            Panel([Line(years, numbers, color="ink")], "Sunspots", y_label="sunspot number", x_limits=span, height=170),
            Panel(marks, "How far from one long run?", x_label="year", y_label="largest difference in h",
                  x_limits=span, y_limits=(-0.12 * high, high), height=230),
        ],
        alt=f"Yearly sunspot numbers {span[0]:.0f} to {span[1]:.0f} in {len(starts)} windows, and the distance of the "
        f"states from one long run. {spoken}.",
    )  # fmt: skip


# ---- explorers ---------------------------------------------------------------------------------------------------

UNITS, STEPS, LAGS, SHOWN, SEED = 16, 32, 20, 7, 4
COMPARED = 0.9


def memory_explorer() -> Explorer:
    """Spectral radius and time over an unrolled network, its states, what it still knows of its inputs, and recall."""
    return Explorer(
        memory,
        Slider("radius", "spectral radius of W_hh", 0.0, 2.0, 0.05, value=COMPARED),
        Slider("t", "time t (steps)", 1, STEPS, 1, value=20, steps_per_second=3),
        title="What does the state remember?",
        description="Move the radius and watch the dots: how many steps back do they still hit the bars? "
        "Then play the time.",
    )


def memory(radius: float, t: int) -> Scene:
    """A random tanh network after t steps of a random input: unrolled, as a heatmap, asked for its past."""
    x, hs, guesses, remembered = _network(radius)
    usual, capacity = _network(COMPARED)[3], remembered.sum()
    compared = Line(np.arange(LAGS + 1), usual, f"radius {COMPARED}", color="grey", dashed=True)
    curve = {f"radius {radius:g}: sum {capacity:.1f} of at most {UNITS}": remembered}
    return Scene(
        [
            _strip(x, hs, t, linked=radius > 0),
            _states(hs, t),
            _recall_panel(curve, "Recall, measured on 50 other sequences", [compared], 240),
            _mirror(x, guesses[t - 1], t),
        ],
        alt=f"Step {t} of an untrained tanh network of {UNITS} units, spectral radius {radius:g}. Recall falls below "
        f"one half {_fall(remembered)}; summed over lags it is {capacity:.1f} of at most {UNITS}.",
        columns=2,
    )


@functools.lru_cache(maxsize=64)
def _network(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x (STEPS,), its states (STEPS, H), guesses of the inputs 0, 1, ... steps ago (STEPS, LAGS + 1), recall."""
    weights = random_weights(1, UNITS, radius, seed=SEED)
    x = np.random.default_rng(5).uniform(-1, 1, (60, 101, 1))
    hs, _, _ = rnn.forward(x, np.zeros((101, UNITS)), *weights)
    W, b = past_readout(hs[:, 1:], x[:, 1:], LAGS)
    shown = hs[:STEPS, 0]
    return x[:STEPS, 0, 0], shown, linear_forward(shown, W, b)[0], recall(hs[:, 1:], x[:, 1:], LAGS)


def _strip(x: np.ndarray, hs: np.ndarray, t: int, linked: bool) -> Panel:
    """The last states, unrolled: a column of units for each, the input below it; arrows between them if linked."""
    states = np.concatenate([np.zeros((1, UNITS)), hs])
    first = max(0, t - SHOWN + 1)  # h₀ stands there as long as there is room
    marks: list[Mark] = []
    for slot, step in enumerate(range(first, t + 1)):
        column = Box(slot, UNITS / 2 - 0.5, "", width=0.55, height=UNITS)
        shades = enumerate(states[step])
        marks += [Box(slot, UNITS - 1 - i, "", h, width=0.55, height=1.0, color="grey") for i, h in shades]
        marks.append(Label(slot, UNITS + 0.7, f"h{_low(step)}"))
        if step > 0:
            read = x[step - 1]
            entry = Box(slot, -4.2, f"{round(read, 1) + 0:.1f}", read, width=0.84, height=2.4)
            marks += [entry, Arrow.between(entry, column)]
        if step > 0 and linked:
            marks.append(Arrow(slot - 0.72, column.y, slot - 0.28, column.y, color="vermillion", width=2))
    marks += [Label(SHOWN - 0.45, -4.2, "x", align="left"), Label(SHOWN - 0.45, 7.5, "h", align="left")]
    limits = (-0.8, SHOWN - 0.1), (-5.8, UNITS + 1.6)
    return Panel(marks, "Unrolled: the last steps", axes=False, x_limits=limits[0], y_limits=limits[1], height=240)


def _mirror(x: np.ndarray, guesses: np.ndarray, t: int) -> Panel:
    lags = np.arange(min(t, LAGS + 1))
    return Panel(
        [
            Bars(np.arange(1, t + 1), x[:t], "input", color="sky"),
            Dots(t - lags, guesses[lags], f"read out of h{_low(t)} alone", color="vermillion"),
        ],
        "What this one state says of the past",
        x_label="time (steps)",
        y_label="input",
        x_limits=(0.3, STEPS + 0.7),
        y_limits=(-1.3, 1.3),
        height=240,
    )


def _states(hs: np.ndarray, t: int) -> Panel:
    seen = np.where(np.arange(1, STEPS + 1) <= t, hs.T, np.nan)
    return Panel(
        [
            Heatmap(seen, label="state h", limits=(-1, 1), x_range=(1, STEPS)),
            Line([t, t], [-0.5, UNITS - 0.5], color="ink"),
        ],
        "All states so far",
        x_label="time (steps)",
        y_label="unit",
        height=240,
    )


RANDOM, IDENTITY = "random", "identity"


def growth_explorer() -> Explorer:
    """The same weights under tanh and under ReLU, as the recurrent weights grow."""
    return Explorer(
        growth,
        Slider("radius", "spectral radius of W_hh", 0.5, 3.0, 0.05, value=1.0),
        Choice("kind", "W_hh", (RANDOM, IDENTITY), RANDOM),
        title="How large does the state get?",
        description="At which radius does ReLU take off, for each kind of W_hh? Where do the tanh units go meanwhile?",
    )


def states_under(radius: float, kind: str) -> dict[str, np.ndarray]:
    """The states (60, 100) of one network of 100 units, fed random inputs, under "tanh" and under "relu".

    Args:
        radius: the spectral radius of W_hh.
        kind: "random", or "identity": radius times the identity, so that every unit hears only itself.
    """
    H, T = 100, 60
    W_ih, W_hh, b_ih, b_hh = random_weights(1, H, radius)
    W_hh = W_hh if kind == RANDOM else radius * np.eye(H)
    x = np.random.default_rng(3).uniform(-1, 1, (T, 1, 1))
    return {
        phi: rnn.forward(x, np.zeros((1, H)), W_ih, W_hh, b_ih, b_hh, nonlinearity=phi)[0][:, 0]
        for phi in ("tanh", "relu")
    }


def growth(radius: float, kind: str) -> Scene:
    """The size of the states of `states_under`, step by step, and where the tanh units end up."""
    states = states_under(radius, kind)
    sizes = {phi: np.sqrt((hs**2).mean(axis=1)) for phi, hs in states.items()}
    late = states["tanh"][-20:]
    count, edges = np.histogram(late, bins=20, range=(-1, 1))
    bars = Bars((edges[:-1] + edges[1:]) / 2, 100 * count / count.sum(), color="blue", width=0.09)
    return Scene(
        [
            _size_panel(sizes, "Size of the state (root mean square)", 240),
            Panel([bars], "Where the tanh units are, last 20 steps", x_label="state h", y_label="share (%)",
                  x_limits=(-1.05, 1.05), y_limits=(0, 60), height=240),
        ],
        alt=f"Spectral radius {radius:g}, {kind} recurrent weights. After {len(states['tanh'])} steps the root mean "
        f"square of the state is {sizes['tanh'][-1]:.2g} with tanh and {sizes['relu'][-1]:.2g} with ReLU; "
        f"{100 * saturation(late):.0f} % of the tanh units lie beyond ±0.9.",
        columns=2,
    )  # fmt: skip


def _low(number: int) -> str:
    """A number as a subscript."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
