"""Padding invariance on screen: change what stands in the padding, and see what moves in whatever is computed.

Any function of a padded batch can be asked, the library's or a learner's own; nothing here knows how it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.cells.sequences import check_lengths
from rnnlib.viz import Box, Label, Panel, Scene
from rnnlib.viz.scene import Mark

Run = Callable[[np.ndarray, np.ndarray], Mapping[str, ArrayLike]]

LONGER = 7  # steps of padding added at the end


def repadded(x: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """The same batch with other padding: first with zeros, then what it is compared with.

    Args:
        x: (T, N, ...), floating.
        lengths: (N,).

    Returns:
        By name, x with zeros, noise, a million or NaN in the padding, and with zeros and LONGER steps more.
    """
    T, N = x.shape[:2]
    valid = np.arange(T)[:, None] < check_lengths(lengths, T, N)
    held = valid.reshape(T, N, *[1] * (x.ndim - 2))
    noise = np.random.default_rng(0).normal(size=x.shape).astype(x.dtype)
    fills: dict[str, ArrayLike] = {"zeros": 0, "noise": noise, "a million": 1e6, "NaN": np.nan}
    batches = {name: np.where(held, x, fill).astype(x.dtype) for name, fill in fills.items()}
    more = np.zeros((LONGER, *x.shape[1:]), x.dtype)
    return batches | {f"{LONGER} more steps": np.concatenate([batches["zeros"], more])}


def moved(run: Run, x: np.ndarray, lengths: np.ndarray) -> dict[str, dict[str, float]]:
    """How far each result moves when the padding changes.

    Args:
        run: takes x (T, N, ...) and lengths (N,), returns results by name. Results that have a place for each step are
            compared up to the shorter one.
        x, lengths: a batch with some padding.

    Returns:
        For each padding but the first and each result, the largest absolute difference from what zeros gave; 0.0 only
        if all bits agree, NaN where one is NaN and the other is not.

    Raises:
        ValueError: nothing in the batch is padding.
    """
    if (np.asarray(lengths) == len(x)).all():
        raise ValueError(f"every sequence has all {len(x)} steps: there is no padding to change")
    batches = repadded(x, lengths)
    with np.errstate(all="ignore"):
        first, *others = [
            {name: np.asarray(value) for name, value in run(batch, lengths).items()} for batch in batches.values()
        ]
        names = list(batches)[1:]
        return {
            padding: {name: _apart(first[name], value) for name, value in result.items()}
            for padding, result in zip(names, others, strict=True)
        }


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    if a.ndim and a.shape != b.shape:
        n = min(len(a), len(b))
        a, b = a[:n], b[:n]
    return 0.0 if a.tobytes() == b.tobytes() else float(np.abs(a - b).max())


def table(moves: Mapping[str, Mapping[str, float]], title: str = "") -> Scene:
    """What moved, as a table: a row for each padding, a column for each result, white where not a bit changed.

    Args:
        moves: from `moved`.
        title: above the table.
    """
    results = list(next(iter(moves.values())))
    marks: list[Mark] = [Label(column, 0.9, name) for column, name in enumerate(results)]
    for row, (padding, found) in enumerate(moves.items()):
        marks.append(Label(-0.6, -row, padding, align="right"))
        for column, value in enumerate(found.values()):
            text = "NaN" if np.isnan(value) else f"{value:.0e}" if value else "0"
            marks.append(Box(column, -row, text, _shade(value), 0.94, 0.8))
    rows = len(moves)
    panel = Panel(marks, title, axes=False, x_limits=(-2.0, max(len(results), 4) - 0.4), y_limits=(-rows + 0.4, 1.4),
                  height=60 + 42 * rows)  # fmt: skip
    still = sum(value == 0 for found in moves.values() for value in found.values())
    total = rows * len(results)
    worst = [value for found in moves.values() for value in found.values()]
    most = "NaN" if np.isnan(worst).any() else f"{max(worst):.0e}"
    end = (
        "not a bit moved." if still == total else f"{still} of {total} results do not move, the largest move is {most}."
    )
    return Scene([panel], alt=f"{title + ': ' if title else ''}{rows} other paddings, {len(results)} results: {end}")


def _shade(value: float) -> float:
    """White for no difference, pale orange for rounding, dark for NaN or a difference that matters."""
    if value == 0:
        return 0.0
    return 0.25 if value < 1e-9 else 0.6
