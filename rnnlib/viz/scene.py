"""What a picture says, before anything draws it: panels that hold marks, all of them immutable.

A Scene knows no browser and no matplotlib. `explorer.js` and `static.py` draw the same Scene; it travels to the browser
as a small dict for JSON plus one run of bytes that holds every array (`Scene.to_wire`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Okabe and Ito (2008), "Color universal design", in the order in which they are handed out; yellow is too pale to read.
PALETTE = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
}
# Besides those, "ink" and "grey" are the text colours of the page: they follow a dark theme.
COLORS = (*PALETTE, "ink", "grey")
# The one colour map of the course: far below the centre, below, at the centre, above, far above.
DIVERGING = ("#084C7F", "#5AA5D6", "#F7F7F7", "#F0A058", "#A34700")

Numbers = Any  # given as anything array-like; kept as a read-only array
Limits = tuple[float | None, float | None]


@dataclass(frozen=True, eq=False)
class Mark:
    """Something drawn in a panel, in the units of the panel's axes. The `label` of a series enters the legend."""

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        """The x and the y values that must be seen when nobody sets limits."""
        raise NotImplementedError

    def _freeze(self, *series: str) -> None:
        """Make the named fields read-only vectors of one length, and refuse an unknown colour."""
        kind = type(self).__name__
        for name in series:
            vector = _frozen(getattr(self, name))
            if vector.ndim != 1:
                raise ValueError(
                    f"{kind}: {name} has shape {vector.shape}, expected (n,). A {kind} is one series: draw one per "
                    "column (hs[:, 0, k]), or a whole (T, H) array as a Heatmap"
                )
            object.__setattr__(self, name, vector)
        lengths = {name: len(getattr(self, name)) for name in series}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{kind}: {lengths} differ in length. States with h_0 in front are one longer than inputs")
        _check_color(kind, getattr(self, "color", ""))


@dataclass(frozen=True, eq=False)
class Line(Mark):
    """A curve through x (n,) and y (n,); NaN leaves a gap."""

    x: Numbers
    y: Numbers
    label: str = ""
    color: str = ""
    dashed: bool = False

    def __post_init__(self) -> None:
        self._freeze("x", "y")

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        return self.x, self.y


@dataclass(frozen=True, eq=False)
class Band(Mark):
    """The area between low (n,) and high (n,) over x (n,): an interval, a spread over seeds."""

    x: Numbers
    low: Numbers
    high: Numbers
    label: str = ""
    color: str = ""

    def __post_init__(self) -> None:
        self._freeze("x", "low", "high")

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        return self.x, np.concatenate([self.low, self.high])


@dataclass(frozen=True, eq=False)
class Dots(Mark):
    """A dot at every x (n,), y (n,); `size` is a diameter in pixels."""

    x: Numbers
    y: Numbers
    label: str = ""
    color: str = ""
    size: float = 6.0

    def __post_init__(self) -> None:
        self._freeze("x", "y")

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        return self.x, self.y


@dataclass(frozen=True, eq=False)
class Bars(Mark):
    """A bar from zero to y (n,) at every x (n,); `width` is in units of x."""

    x: Numbers
    y: Numbers
    label: str = ""
    color: str = ""
    width: float = 0.8

    def __post_init__(self) -> None:
        self._freeze("x", "y")

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        half = self.width / 2
        return np.concatenate([self.x - half, self.x + half]), np.append(self.y, 0.0)


@dataclass(frozen=True, eq=False)
class Heatmap(Mark):
    """A matrix (rows, columns) in colour: blue below `center`, white at it, orange above; NaN is grey.

    Args:
        matrix: (rows, columns). Row 0 is on top and column 0 on the left, at coordinates 0, 1, 2, ...
        label: what the colours mean, with its unit; it stands beside the colour bar. Without it there is no bar.
        limits: (low, high) of the colours; left out, those of the data. Fix them where a slider changes the data.
        x_range, y_range: the coordinates of the first and the last column (row). With y_range, y grows upwards.
    """

    matrix: Numbers
    label: str = ""
    limits: tuple[float, float] | None = None
    center: float = 0.0
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    upwards: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        matrix = _frozen(self.matrix)
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise ValueError(
                f"Heatmap: matrix has shape {matrix.shape}, expected (rows, columns). Of hidden states (T, N, H) show "
                "one sequence, with time from left to right: hs[:, 0].T"
            )
        low, high = self.limits or _finite_range(matrix)
        if not low < high:
            low, high = low - 1.0, low + 1.0
        rows, columns = matrix.shape
        for name, value in {
            "matrix": matrix,
            "limits": (float(low), float(high)),
            "x_range": _ends("x_range", self.x_range, columns),
            "y_range": _ends("y_range", self.y_range, rows),
            "upwards": self.y_range is not None,
        }.items():
            object.__setattr__(self, name, value)

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        rows, columns = self.matrix.shape
        return _outer_edges(self.x_range, columns), _outer_edges(self.y_range, rows)


@dataclass(frozen=True, eq=False)
class Label(Mark):
    """Text at the point (x, y); `align` says which side of the text that point is: left, center or right."""

    x: float
    y: float
    text: str
    color: str = "ink"
    align: str = "center"

    def __post_init__(self) -> None:
        self._freeze()
        if self.align not in ("left", "center", "right"):
            raise ValueError(f"Label: align is {self.align!r}, expected left, center or right")

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        return [self.x], [self.y]


@dataclass(frozen=True, eq=False)
class Box(Mark):
    """A box around (x, y) with lines of text in it; a `value` colours it like a heatmap of limits ±`limit`."""

    x: float
    y: float
    text: str = ""
    value: float | None = None
    width: float = 0.8
    height: float = 0.5
    limit: float = 1.0
    color: str = "ink"

    def __post_init__(self) -> None:
        self._freeze()
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"Box {self.text!r}: value is {self.value}; leave it out (None) where there is no number")

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        half_width, half_height = self.width / 2, self.height / 2
        return [self.x - half_width, self.x + half_width], [self.y - half_height, self.y + half_height]


@dataclass(frozen=True, eq=False)
class Arrow(Mark):
    """An arrow from (x, y) to (to_x, to_y); `width` is in pixels, a `label` stands beside its middle."""

    x: float
    y: float
    to_x: float
    to_y: float
    label: str = ""
    color: str = "ink"
    width: float = 1.5

    def __post_init__(self) -> None:
        self._freeze()

    @classmethod
    def between(cls, start: Box, end: Box, label: str = "", color: str = "ink", width: float = 1.5) -> Arrow:
        """The arrow from the edge of one box to the edge of another, along the line through their centres."""
        dx, dy = end.x - start.x, end.y - start.y
        if dx == dy == 0:
            raise ValueError(f"Arrow.between: {start.text!r} and {end.text!r} have the same centre")

        def to_edge(box: Box) -> float:
            """The fraction of the way between the centres that lies inside the box."""
            return min(size / 2 / abs(d) for size, d in ((box.width, dx), (box.height, dy)) if d)

        a, b = to_edge(start), 1 - to_edge(end)
        return cls(start.x + a * dx, start.y + a * dy, start.x + b * dx, start.y + b * dy, label, color, width)

    def extent(self) -> tuple[ArrayLike, ArrayLike]:
        return [self.x, self.to_x], [self.y, self.to_y]


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes and the marks in it.

    Args:
        marks: drawn in this order.
        x_label, y_label: what the axis measures, with its unit in brackets: "time (steps)".
        x_limits, y_limits: (low, high), None where the marks decide. Fix them where a slider would move them.
        x_scale, y_scale: "linear" or "log".
        x_names, y_names: words instead of numbers at 0, 1, 2, ... (tokens under a heatmap).
        axes: False for a diagram, which has no axes.
        equal: one unit is equally long on both axes, so that a circle is round.
        height: of the whole panel in pixels.
    """

    marks: Sequence[Mark]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_limits: Limits = (None, None)
    y_limits: Limits = (None, None)
    x_scale: str = "linear"
    y_scale: str = "linear"
    x_names: Sequence[str] = ()
    y_names: Sequence[str] = ()
    axes: bool = True
    equal: bool = False
    height: int = 260

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", tuple(self.marks))
        if not self.marks:
            raise ValueError(f"Panel {self.title!r} has no marks; an empty picture is usually a loop that never ran")
        strangers = [type(m).__name__ for m in self.marks if not isinstance(m, Mark)]
        if strangers:
            raise ValueError(f"Panel {self.title!r}: {strangers} are no marks; wrap numbers in Line, Dots, ...")
        for axis in "xy":
            self.axis(axis)

    def axis(self, name: str) -> dict[str, Any]:
        """All a renderer must know of the axis "x" or "y": label, limits (low, high; reversed where the axis runs
        backwards), scale, names, and whether only whole numbers make sense as ticks."""
        scale, names = getattr(self, f"{name}_scale"), list(getattr(self, f"{name}_names"))
        if scale not in ("linear", "log"):
            raise ValueError(f"Panel {self.title!r}: {name}_scale is {scale!r}, expected linear or log")
        seen = np.concatenate([np.ravel(np.asarray(m.extent()["xy".index(name)], dtype=float)) for m in self.marks])
        heatmaps = [m for m in self.marks if isinstance(m, Heatmap)]
        low, high = _limits(seen, getattr(self, f"{name}_limits"), scale, margin=0.0 if heatmaps else 0.04)
        if name == "y" and heatmaps and not any(m.upwards for m in heatmaps):
            low, high = high, low
        series = [_values(m, name) for m in self.marks]
        whole = all(bool(np.all(np.isnan(v) | (v == np.round(v)))) for v in series)
        label = getattr(self, f"{name}_label")
        return {"label": label, "limits": [low, high], "scale": scale, "names": names, "whole": whole}

    def colors(self) -> list[str]:
        """One colour per mark: its own, or the next of the palette."""
        unused = [c for c in PALETTE if c not in {getattr(m, "color", "") for m in self.marks}] or list(PALETTE)
        result, taken = [], 0
        for mark in self.marks:
            own = getattr(mark, "color", "ink")
            result.append(own or unused[taken % len(unused)])
            taken += not own
        return result


@dataclass(frozen=True, eq=False)
class Scene:
    """One or more panels, row by row in `columns`; on a narrow screen all stand in one column.

    Args:
        panels: at least one.
        alt: what the picture shows, in a sentence or two with its numbers, for those who cannot see it and as caption.
        columns: how many panels stand side by side.
    """

    panels: Sequence[Panel]
    alt: str
    columns: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "panels", tuple(self.panels))
        if not self.panels or not all(isinstance(p, Panel) for p in self.panels):
            raise ValueError("Scene: panels must be a list of at least one Panel: Scene([Panel([...])], alt=...)")
        if not self.alt.strip():
            raise ValueError("Scene: alt is empty; say in a sentence what the picture shows, with its numbers")

    def to_wire(self) -> tuple[dict[str, Any], bytes]:
        """The Scene as (spec, data): spec is fit for JSON; each array in it is {"at", "shape", "type"}, that is a
        place in bytes, a shape and "float32" or "float64" in data (little endian, C order, aligned to 8 bytes)."""
        data = bytearray()

        def pack(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            data.extend(bytes(-len(data) % 8))
            at = len(data)
            data.extend(value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes())
            return {"at": at, "shape": list(value.shape), "type": value.dtype.name}

        panels = []
        for panel in self.panels:
            marks = [
                {f.name: pack(getattr(mark, f.name)) for f in fields(mark)} | {"kind": type(mark).__name__, "color": c}
                for mark, c in zip(panel.marks, panel.colors(), strict=True)
            ]
            look = {name: getattr(panel, name) for name in ("title", "axes", "equal", "height")}
            panels.append(look | {"x": panel.axis("x"), "y": panel.axis("y"), "marks": marks})
        return {"alt": self.alt, "columns": self.columns, "panels": panels}, bytes(data)

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        from rnnlib.viz.static import mimebundle

        return mimebundle(self)


def _frozen(value: ArrayLike) -> NDArray[np.floating]:
    array = np.asarray(value)
    array = np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64, order="C")
    array.setflags(write=False)
    return array


def _check_color(kind: str, color: str) -> None:
    if color and color not in COLORS:
        raise ValueError(f"{kind}: no colour {color!r}; take one of {', '.join(COLORS)}, or none for the next free one")


def _finite_range(values: NDArray[np.floating]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _ends(name: str, ends: tuple[float, float] | None, count: int) -> tuple[float, float]:
    """Coordinates of the first and the last row (column) of a heatmap."""
    if ends is None:
        return 0.0, float(count - 1)
    if count > 1 and ends[0] == ends[1]:
        raise ValueError(f"Heatmap: {name} is {ends}, but {count} cells need a first and a last coordinate that differ")
    return float(ends[0]), float(ends[1])


def _outer_edges(ends: tuple[float, float] | None, count: int) -> tuple[float, float]:
    assert ends is not None
    half = (ends[1] - ends[0]) / (count - 1) / 2 if count > 1 else 0.5
    return ends[0] - half, ends[1] + half


def _values(mark: Mark, axis: str) -> NDArray[np.floating]:
    """The coordinates that say whether an axis counts in whole numbers."""
    if isinstance(mark, Heatmap):
        first, last = getattr(mark, f"{axis}_range")
        return np.linspace(first, last, mark.matrix.shape["yx".index(axis)])
    if isinstance(mark, Bars):
        return getattr(mark, axis)
    if isinstance(mark, Label):
        return np.empty(0)
    return np.asarray(mark.extent()["xy".index(axis)], dtype=float)


def _limits(seen: NDArray[np.floating], wanted: Limits, scale: str, margin: float) -> tuple[float, float]:
    """Limits as wanted; where they are left open, those that hold what must be seen and a margin (never at zero)."""
    log = scale == "log"
    if log and any(end is not None and end <= 0 for end in wanted):
        raise ValueError(f"limits {wanted}: a log axis cannot reach zero; give a small positive number")
    seen = seen[np.isfinite(seen) & ((seen > 0) | (not log))]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.1, 1.0)
    low, high = (low if wanted[0] is None else float(wanted[0])), (high if wanted[1] is None else float(wanted[1]))
    if low == high:
        low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
    if low > high:
        raise ValueError(f"limits ({low:g}, {high:g}) run backwards; give (low, high)")
    room = margin * (math.log(high / low) if log else high - low)
    if wanted[0] is None and low != 0:
        low = low * math.exp(-room) if log else low - room
    if wanted[1] is None and high != 0:
        high = high * math.exp(room) if log else high + room
    return low, high
