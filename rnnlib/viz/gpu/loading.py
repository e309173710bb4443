"""Who worked when, as measured: the loader, and the computation that needs what it brings (lesson 23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rnnlib.viz import Box, Panel, Scene
from rnnlib.viz.scene import Mark

Spans = Sequence[tuple[float, float]]
LOADER, COMPUTE = (-0.6, "blue"), (0.6, "vermillion")  # their colours


class Log(NamedTuple):
    """Beginnings and ends in seconds, on one clock."""

    loads: Spans
    steps: Spans

    @property
    def seconds(self) -> float:
        """From the first beginning to the last end."""
        ends = [*self.loads, *self.steps]
        return max(stop for _, stop in ends) - min(start for start, _ in ends)

    @property
    def busy(self) -> float:
        """The share of that time in which something was computed."""
        return sum(stop - start for start, stop in self.steps) / self.seconds


def lanes(logs: Mapping[str, Log]) -> Scene:
    """The logs under each other on one scale of time.

    Args:
        logs: by name.
    """
    longest = 1e3 * max(log.seconds for log in logs.values())
    panels = []
    for name, log in logs.items():
        origin = min(start for start, _ in (*log.loads, *log.steps))
        marks: list[Mark] = []
        for lane, spans, (value, color) in ((1, log.loads, LOADER), (0, log.steps, COMPUTE)):
            for start, stop in spans:
                begin, width = 1e3 * (start - origin), 1e3 * (stop - start)
                wide = max(width, longest / 1000)
                marks.append(Box(begin + width / 2, lane, "", value, width=wide, height=0.6, color=color))
        title = f"{name}: {1e3 * log.seconds:.0f} ms, computing {100 * log.busy:.0f} % of the time"
        panels.append(
            Panel(marks, title, "time (ms)", "", (0, 1.02 * longest), (-0.6, 1.6), y_names=("compute", "load"),
                  height=160)
        )  # fmt: skip
    said = "; ".join(f"{name} {1e3 * log.seconds:.0f} ms" for name, log in logs.items())
    return Scene(panels, alt=f"When batches were loaded and when something was computed: {said}.")
