"""Batches of unequal sequences in lesson 09: what is computed for nothing, and the ways to compute less of it.

In every grid here a row is a sequence and a column a step; blue is data, orange is padding that a network computes, and
where it is white nothing is computed. The explorer measures while you drag: its speeds are this machine's, now.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from rnnlib.data.batching import bucket
from rnnlib.recurrent import RNN
from rnnlib.viz import Arrow, Box, Choice, Explorer, Heatmap, Label, Line, Panel, Scene, Slider
from rnnlib.viz.lengths.pace import gains, panel, tokens_per_second
from rnnlib.viz.scene import Mark

DATA, WASTE, NOTHING = -0.5, 0.5, 0.0  # on the diverging map: blue, orange, white


# ---- grids ---------------------------------------------------------------------------------------------------------


def grid(lengths: np.ndarray, batches: Sequence[np.ndarray], *, packed: bool, T: int | None = None) -> np.ndarray:
    """What is computed for each sequence at each step.

    Args:
        lengths: (N,), all sequences.
        batches: which sequences each batch holds, from the top row to the last.
        packed: whether padding is skipped; otherwise each batch is computed up to its longest sequence.
        T: columns; None: as many as the longest of all.

    Returns:
        (rows, T) of DATA, WASTE and NOTHING.
    """
    steps = np.arange(T or lengths.max())
    rows = []
    for batch in batches:
        own = lengths[batch]
        computed = own if packed else np.full(len(own), own.max())
        rows.append(np.where(steps < own[:, None], DATA, np.where(steps < computed[:, None], WASTE, NOTHING)))
    return np.concatenate(rows)


def wasted(shown: np.ndarray) -> float:
    """The padding ratio of a grid: the share of the computed positions that hold no data."""
    return float((shown == WASTE).sum() / (shown != NOTHING).sum())


def batch_panel(shown: np.ndarray, sizes: Sequence[int], title: str, height: int = 330) -> Panel:
    """A grid with a line between any two batches of these sizes."""
    marks: list[Mark] = [Heatmap(shown, limits=(-1, 1), x_range=(1, shown.shape[1]))]
    for row in np.cumsum(sizes)[:-1]:
        marks.append(Line([0.5, shown.shape[1] + 0.5], [row - 0.5] * 2, color="ink"))
    return Panel(marks, title, x_label="step", y_label="sequence", height=height)


def one_batch(lengths: np.ndarray) -> Scene:
    """A batch as it was drawn, padded to its longest sequence."""
    shown = grid(lengths, [np.arange(len(lengths))], packed=False)
    share = wasted(shown)
    return Scene(
        [batch_panel(shown, [len(lengths)], f"Data (blue) and padding (orange): {share:.0%}".replace("%", " %"), 260)],
        alt=f"{len(lengths)} sequences of {lengths.min()} to {lengths.max()} steps, a row each, padded to the longest. "
        f"{100 * share:.0f} % of the positions are padding.",
    )


# ---- diagrams ------------------------------------------------------------------------------------------------------

WORDS = ("abc", "d", "ef")  # three small sequences, a letter a step


def _row(letters: str, x: float, y: float, steps: int, marks: list[Mark]) -> None:
    """Boxes of one sequence, and empty grey ones for its padding."""
    for t in range(steps):
        data = t < len(letters) and letters[t] != " "
        marks.append(Box(x + t, y, letters[t] if data else "", DATA if data else None, 0.9, 0.8,
                         color="ink" if data else "grey"))  # fmt: skip


def reversal() -> Scene:
    """Three sequences, flipped with their padding, and turned round each by its own length."""
    marks: list[Mark] = []
    T = max(map(len, WORDS))
    for n, word in enumerate(WORDS):
        for x, letters in ((0, word), (5, word.ljust(T)[::-1]), (10, word[::-1])):
            _row(letters, x, -n, T, marks)
    for x, text in ((1, "as it came"), (6, "x[::-1]"), (11, "by its own length")):
        marks.append(Label(x, 0.85, text))
    panel = Panel(marks, axes=False, x_limits=(-1, 13), y_limits=(-2.6, 1.3), height=170)
    return Scene(
        [panel],
        alt="The sequences abc, d and ef, padded to three steps. Flipped as they stand, d and ef begin with their "
        "padding. Turned round each by its own length they begin with their last letter and the padding stays behind.",
    )


def packing() -> Scene:
    """Three sequences, sorted, and the packed rows that a network walks through step by step."""
    marks: list[Mark] = []
    T = max(map(len, WORDS))
    by_length = sorted(WORDS, key=len, reverse=True)
    for n, (word, longest) in enumerate(zip(WORDS, by_length, strict=True)):
        _row(word, 0, -n, T, marks)
        _row(longest, 5, -n, T, marks)
    x = 10.0
    for t in range(T):
        running = [word[t] for word in by_length if t < len(word)]
        for n, letter in enumerate(running):
            marks.append(Box(x + n, -1, letter, DATA, 0.9, 0.8))
        marks.append(Label(x + (len(running) - 1) / 2, -1.85, f"step {t + 1}: {len(running)}"))
        x += len(running) + 0.7
    marks += [Arrow(3.0, -1, 4.0, -1), Arrow(8.0, -1, 9.0, -1)]
    for x, text in ((1, "as it came"), (6, "longest first"), (13.3, "packed: step by step, only who still runs")):
        marks.append(Label(x, 0.85, text))
    panel = Panel(marks, axes=False, x_limits=(-1, 17.8), y_limits=(-2.6, 1.3), height=170)
    return Scene(
        [panel],
        alt="The sequences abc, d and ef are sorted, longest first: abc, ef, d. Packed, the rows are a e d for step 1, "
        "b f for step 2 and c for step 3: six rows in place of nine.",
    )


def attended(maps: dict[str, np.ndarray], lengths: Sequence[int]) -> Scene:
    """Attention weights of one query per sequence, side by side, with a line where each sequence ends.

    Args:
        maps: by title, (N, Tk) weights.
        lengths: (N,).
    """
    panels = []
    for title, weights in maps.items():
        marks: list[Mark] = [Heatmap(weights, "weight", (0, 1), x_range=(1, weights.shape[1]))]
        for n, length in enumerate(lengths):
            if length < weights.shape[1]:
                marks.append(Line([length + 0.5] * 2, [n - 0.5, n + 0.5], color="ink"))
        panels.append(Panel(marks, title, x_label="key (step)", y_label="sequence", height=210))
    spoken = [
        f"{title}: {100 * np.mean([w[n:].sum() for w, n in zip(weights, lengths, strict=True)]):.0f} %"
        for title, weights in maps.items()
    ]
    return Scene(
        panels,
        alt=f"Attention weights of {len(lengths)} sequences over {weights.shape[1]} keys, a black line where each "
        f"sequence ends. Weight that lies on padding, on average: {', '.join(spoken)}.",
        columns=len(panels),
    )


def against_pool(pools: Sequence[str], ratios: Sequence[float], mixed: Sequence[float]) -> Scene:
    """What sorting larger pools saves and what it costs.

    Args:
        pools: names, from plain shuffling to sorting all.
        ratios: padding ratio of each, 0 to 1.
        mixed: how unlike the lengths within a batch are, the mean standard deviation in steps.
    """
    places = np.arange(len(pools))
    panels = [
        Panel([Line(places, 100 * np.asarray(ratios), color="vermillion")], "Padding", "batches sorted together",
              "share (%)", y_limits=(0, None), x_names=pools, height=240),
        Panel([Line(places, mixed, color="blue")], "Variety within a batch", "batches sorted together",
              "spread of lengths (steps)", y_limits=(0, None), x_names=pools, height=240),
    ]  # fmt: skip
    return Scene(
        panels,
        alt=f"From {pools[0]} to {pools[-1]} batches sorted together: padding falls from {100 * ratios[0]:.0f} to "
        f"{100 * ratios[-1]:.0f} %, the spread of lengths within a batch from {mixed[0]:.1f} to {mixed[-1]:.1f} steps.",
        columns=2,
    )


# ---- the explorer --------------------------------------------------------------------------------------------------

SEQUENCES, BATCH, MEAN, LONGEST = 96, 24, 16, 64
WAYS = ("padded", "sorted", "packed", "bucketed", "both")  # both: bucketed and packed
TIMED = ("padded", "packed", "bucketed", "both")
UNITS = (
    16,
    96,
)  # at 96 a step still runs on one thread in OpenBLAS; more threads would be timed waiting for each other


class Arranged(NamedTuple):
    """One epoch of batches.

    Attributes:
        batches: which sequences each batch holds.
        packed: whether its padding is skipped.
    """

    batches: list[np.ndarray]
    packed: bool


def explorer() -> Explorer:
    """Four batches of unequal sequences, arranged in five ways, and how fast a network reads them."""
    return Explorer(
        draw,
        Choice("way", "arrangement", WAYS, "padded"),
        Slider("spread", "spread of lengths", 0.0, 1.0, 0.1, value=0.7),
        Slider("pool", "batches sorted together", 1, SEQUENCES // BATCH, 1, value=SEQUENCES // BATCH),
        Choice("units", "units of the network", UNITS, UNITS[-1]),
        Slider("rounds", "rounds measured", 1, 12, 1, value=3, steps_per_second=2),
        title="Padded, packed, bucketed",
        description="Blue: data. Orange: padding that is computed. White: nothing is computed. The blue bars are "
        "measured here and now: play the rounds to measure again.",
    )


def draw(way: str, spread: float, pool: int, units: int, rounds: int) -> Scene:
    """The batches of one epoch and the tokens a second of every arrangement.

    Args:
        way: one of WAYS.
        spread: of the lengths, 0: all alike; the standard deviation of their logarithm.
        pool: how many batches are sorted together where sequences are bucketed.
        units: of the network that reads them.
        rounds: how often each arrangement is timed; a round is timed once and kept.
    """
    lengths = unequal(spread)
    batches, packed = arranged(way, lengths, pool)
    shown = grid(lengths, batches, packed=packed, T=LONGEST)
    timed = [timed_round(spread, pool, units, i) for i in range(rounds)]
    measured = gains({name: np.array([each[name] for each in timed]) for name in TIMED})
    share = f"{100 * wasted(shown):.0f} % of what is computed is padding"
    speed = ", ".join(f"{name} {measured[name].best:.1f}" for name in TIMED[1:])
    return Scene(
        [
            batch_panel(shown, [len(b) for b in batches], f"{way}: {share}"),
            panel(measured, positions_saved(lengths, pool), 200),
        ],
        alt=f"{SEQUENCES} sequences of {lengths.min()} to {lengths.max()} steps in batches of {BATCH}, {way}: {share}. "
        f"With {units} units, tokens a second beside padded, each in its fastest of {rounds} rounds: {speed} times.",
    )


def unequal(spread: float) -> np.ndarray:
    """Lengths (SEQUENCES,) from 1 to LONGEST, about MEAN on average, as unequal as asked for."""
    z = np.random.default_rng(5).normal(size=SEQUENCES)
    return np.clip(np.round(MEAN * np.exp(spread * z - spread**2 / 2)), 1, LONGEST).astype(int)


def arranged(way: str, lengths: np.ndarray, pool: int) -> Arranged:
    """The batches of one epoch, in one of WAYS."""
    rng = np.random.default_rng(0)
    batches = bucket(lengths, BATCH, rng, pool=pool if way in ("bucketed", "both") else 1).batches
    if way in ("padded", "packed"):
        batches = [rng.permutation(batch) for batch in batches]  # as they were drawn
    if way == "packed":
        batches = [batch[np.argsort(-lengths[batch], kind="stable")] for batch in batches]
    return Arranged(batches, way in ("packed", "both"))


def positions_saved(lengths: np.ndarray, pool: int) -> dict[str, float]:
    """How many times as many positions plain padding computes as each arrangement of TIMED."""
    counts = {}
    for way in TIMED:
        batches, packed = arranged(way, lengths, pool)
        counts[way] = (grid(lengths, batches, packed=packed) != NOTHING).sum()
    return {way: float(counts["padded"] / count) for way, count in counts.items()}


@functools.lru_cache(maxsize=1024)
def timed_round(spread: float, pool: int, units: int, _round: int) -> dict[str, float]:
    """Read all sequences in every arrangement of TIMED, in turns: tokens a second of each."""
    lengths = unequal(spread)
    runs = {way: reading(arranged(way, lengths, pool), lengths, units) for way in TIMED}
    return {way: float(speed[0]) for way, speed in tokens_per_second(runs, int(lengths.sum()), 1).items()}


def reading(plan: Arranged, lengths: np.ndarray, units: int) -> Callable[[], object]:
    """A function that sends every batch through an RNN; where nothing is packed, it computes the padding too."""
    layer = RNN(16, units, dtype=np.float32, rng=0)
    batches = [(np.zeros((lengths[b].max(), len(b), 16), np.float32), lengths[b]) for b in plan.batches]

    def read() -> None:
        for x, own in batches:
            layer.forward(x, lengths=own if plan.packed else None)

    return read
