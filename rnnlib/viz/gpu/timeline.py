"""A model of launches and of what waits for them: the host that asks, the device that computes (lesson 23).

The model, and nothing more than this: an operation is launched, which takes the host a fixed time; it starts on the
device once it is launched and the one before is done, and then takes its arithmetic times a fixed time per flop. No
smallest time of a kernel, no memory, no caches. Its two numbers come from a fit to what was measured, see `knee`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rnnlib.viz import Box, Choice, Dots, Explorer, Label, Line, Panel, Scene, Slider, Toggle
from rnnlib.viz.gpu.knee import COLORS, Cost, flops
from rnnlib.viz.scene import Mark

SIZES = (16, 32, 64, 128, 256, 512, 1024)
ROWS = (1, 4, 16, 64, 256)
SPEEDS = {"as here": 1.0, "10 times faster": 10.0, "100 times faster": 100.0}
SHOWN = 24  # operations in the upper picture
HOST, DEVICE = (-0.6, "blue"), (0.6, "vermillion")  # their colours


class Run(NamedTuple):
    """When things happen, in seconds from the start.

    Attributes:
        launches: (n, 2), the host's beginnings and ends.
        kernels: (n, 2), the device's.
    """

    launches: np.ndarray
    kernels: np.ndarray

    @property
    def seconds(self) -> float:
        """Until all is done."""
        return float(max(self.launches[-1, 1], self.kernels[-1, 1]))

    @property
    def busy(self) -> float:
        """The share of that time in which the device computes."""
        return float(np.diff(self.kernels).sum() / self.seconds)


def run(operations: int, launch: float, kernel: float, overlap: bool) -> Run:
    """Send operations that need each other's results through the model.

    Args:
        operations: how many, one after the other.
        launch: seconds that the host takes for one.
        kernel: seconds that the device takes for one.
        overlap: whether the host goes on while the device computes; otherwise it waits.
    """
    launches, kernels = np.empty((operations, 2)), np.empty((operations, 2))
    host = device = 0.0
    for k in range(operations):
        launches[k] = host, host + launch
        start = max(launches[k, 1], device)
        kernels[k] = start, start + kernel
        device = kernels[k, 1]
        host = launches[k, 1] if overlap else device
    return Run(launches, kernels)


class Model(NamedTuple):
    """The model with its numbers.

    Attributes:
        cost: of a step of the loop, as fitted.
        operations: launched in each step of the loop.
    """

    cost: Cost
    operations: int

    def run(self, T: int, work: float, form: str, overlap: bool, speed: float) -> Run:
        """T steps in a form: "loop", so many launches a step, or "fused", one launch for all.

        Args:
            work: flop of a step.
            speed: of the device, in that of the fit.
        """
        launch, computing = self.cost.overhead / self.operations, self.cost.per_flop * work / speed
        if form == "fused":
            return run(1, launch, T * computing, overlap)
        return run(T * self.operations, launch, computing / self.operations, overlap)


class Setting(NamedTuple):
    """Where the controls stand: units, rows and steps, and the others as `Model.run` has them, the speed by name."""

    H: int
    N: int
    T: int
    form: str
    overlap: bool
    speed: str

    @property
    def work(self) -> float:
        """Flop of a step."""
        return flops(self.N, self.H, self.H)


def explorer(model: Model, measured: Mapping[str, Sequence[tuple[float, float]]], where: str) -> Explorer:
    """The timeline of a model, beside the points that its numbers come from.

    Args:
        model: with the numbers fitted to `measured`.
        measured: by form, pairs of the flop of a step and the seconds that it took here.
        where: what it was measured on.
    """

    def draw(H: int, N: int, T: int, form: str, overlap: bool, speed: str) -> Scene:
        return scene(model, measured, where, Setting(H, N, T, form, overlap, speed))

    return Explorer(
        draw,
        Choice("H", "units H", SIZES, 64),
        Choice("N", "rows N", ROWS, 4),
        Slider("T", "steps T", 2, 100, 2, value=20),
        Choice("form", "form", ("loop", "fused"), "loop"),
        Toggle("overlap", "the host runs ahead", False),
        Choice("speed", "the device computes", tuple(SPEEDS), "as here"),
        title="Who waits for whom (a model)",
        description=f"Above, the first operations: the host launches, the device computes. Below, the model's time of "
        f"a step, and as dots what was measured on {where}. Only the dots are measurements.",
    )


def scene(model: Model, measured: Mapping[str, Sequence[tuple[float, float]]], where: str, at: Setting) -> Scene:
    """Both pictures; the other arguments as in `explorer`."""
    now = model.run(at.T, at.work, at.form, at.overlap, SPEEDS[at.speed])
    launches = f"{len(now.kernels)} launch{'es' if len(now.kernels) > 1 else ''}"
    told = (
        f"Model, {at.form}, H = {at.H}, N = {at.N}, T = {at.T}: {launches}, "
        f"{1e3 * now.seconds:.3g} ms, the device computes {100 * now.busy:.0f} % of the time."
    )
    return Scene([_lanes(now), _against_work(model, measured, where, at)], told)


def _lanes(now: Run) -> Panel:
    shown = min(SHOWN, len(now.kernels))
    end = 1e6 * float(max(now.kernels[shown - 1, 1], now.launches[shown - 1, 1]))
    marks: list[Mark] = []
    for lane, spans, (value, color) in ((1, now.launches, HOST), (0, now.kernels, DEVICE)):
        for start, stop in 1e6 * spans[:shown]:
            width = max(stop - start, end / 2000)
            marks.append(Box((start + stop) / 2, lane, "", value, width=width, height=0.55, color=color))
    title = "All of it" if shown == len(now.kernels) else f"The first {shown} of {len(now.kernels)} operations"
    return Panel(
        marks, f"{title}: the device is busy {100 * now.busy:.0f} % of the whole run", "time (µs)", "",
        (0, 1.02 * end), (-0.6, 1.6), y_names=("device", "host"), height=170,
    )  # fmt: skip


def _against_work(
    model: Model, measured: Mapping[str, Sequence[tuple[float, float]]], where: str, at: Setting
) -> Panel:
    def step(work: float, name: str) -> float:
        """µs."""
        return 1e6 * model.run(at.T, work, name, at.overlap, SPEEDS[at.speed]).seconds / at.T

    low, high = flops(1, SIZES[0], SIZES[0]) / 2, 2 * flops(ROWS[-1], SIZES[-1], SIZES[-1])
    grid = np.geomspace(low, high, 40)
    marks: list[Mark] = []
    for name in ("loop", "fused"):
        times = np.array([step(float(work), name) for work in grid])
        marks.append(Line(grid, times, f"{name}, model", COLORS[name], dashed=name != at.form))
    for name, points in measured.items():
        x, y = np.array(points).T
        marks.append(Dots(x, 1e6 * y, f"{name}, measured on {where}", COLORS[name], size=5))
    here = step(at.work, at.form)
    marks += [Dots([at.work], [here], "", "ink", size=11), Label(at.work, 4 * here, "this setting", "ink")]
    per_flop = model.cost.per_flop
    limits = 1e6 * per_flop * low / max(SPEEDS.values()) / 2, 1e7 * (model.cost.overhead + per_flop * high)
    return Panel(
        marks, "Time of a step", "arithmetic of a step (flop)", "time of a step (µs)", (low, high), limits,
        x_scale="log", y_scale="log", height=300,
    )  # fmt: skip
