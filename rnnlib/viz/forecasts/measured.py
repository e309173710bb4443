"""The series of the lesson, each cut into what may be learned from and what is forecast."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnlib.studies.forecasting import Series
from rnnlib.viz import Line, Panel, Scene


def show(every: Mapping[str, Series]) -> Scene:
    """Each series over its years; the part that is tested in vermillion.

    Args:
        every: series by name.
    """
    panels = []
    for name, of in every.items():
        known = slice(None, of.first + 1)
        marks = [
            Line(of.times[known], of.values[known], "to learn from", "blue"),
            Line(of.times[of.first :], of.values[of.first :], "to be forecast", "vermillion"),
        ]
        panels.append(Panel(marks, name, "year", of.unit, height=190))
    return Scene(panels, alt=f"Series over time. {'; '.join(_said(name, of) for name, of in every.items())}.")


def _said(name: str, of: Series) -> str:
    start, cut, end = (int(np.floor(of.times[k])) for k in (0, of.first, -1))
    return f"{name}: {len(of.values)} {of.step}s from {start} to {end}, forecast from {cut} on"
