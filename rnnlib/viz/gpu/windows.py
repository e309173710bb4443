"""Truncation length by batch size: how fast, and how much is kept for the way back (lesson 23)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rnnlib.viz import Box, Panel, Scene


def maps(speeds: ArrayLike, mebibytes: ArrayLike, truncations: Sequence[int], rows: Sequence[int]) -> Scene:
    """Two maps side by side, with their numbers in them; the colours are of logarithms.

    Args:
        speeds: (len(truncations), len(rows)), tokens a second; NaN where it did not fit.
        mebibytes: of the same shape, kept for the way back.
        truncations: T of each row of the maps.
        rows: N of each column.
    """
    speeds, mebibytes = np.asarray(speeds, dtype=np.float64), np.asarray(mebibytes, dtype=np.float64)
    best = divmod(int(np.nanargmax(speeds)), len(rows))
    alt = (
        f"Tokens a second and MiB kept, T from {truncations[0]} to {truncations[-1]}, N from {rows[0]} to {rows[-1]}: "
        f"fastest at T = {truncations[best[0]]}, N = {rows[best[1]]}, {speeds[best]:,.0f} tokens/s; "
        f"{np.nanmin(mebibytes):.2g} to {np.nanmax(mebibytes):.3g} MiB."
    )
    panels = [
        _map(speeds / 1000, "Thousand tokens a second", "{:.3g}", truncations, rows),
        _map(mebibytes, "MiB kept for the way back", "{:.2g}", truncations, rows),
    ]
    return Scene(panels, alt, columns=2)


def _map(values: np.ndarray, title: str, form: str, truncations: Sequence[int], rows: Sequence[int]) -> Panel:
    logs = np.log10(values)
    low, high = float(np.nanmin(logs)), float(np.nanmax(logs))
    middle, limit = (low + high) / 2, 0.7 * (high - low) or 1.0
    boxes = [
        Box(j, len(truncations) - 1 - i, form.format(values[i, j]), logs[i, j] - middle, 1.0, 1.0, limit, "grey")
        if np.isfinite(values[i, j])
        else Box(j, len(truncations) - 1 - i, "did not fit", None, 1.0, 1.0, 1.0, "grey")
        for i in range(values.shape[0])
        for j in range(values.shape[1])
    ]
    return Panel(
        boxes, title, "rows N", "steps of a window T", (-0.5, len(rows) - 0.5), (-0.5, len(truncations) - 0.5),
        x_names=[str(n) for n in rows], y_names=[str(t) for t in reversed(truncations)], height=300,
    )  # fmt: skip
