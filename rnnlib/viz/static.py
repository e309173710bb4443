"""The same Scene as a PNG, drawn by matplotlib, for pages that have no kernel. matplotlib is loaded on first use."""

from __future__ import annotations

import base64
import io
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from rnnlib.viz.scene import (
    DIVERGING,
    PALETTE,
    Arrow,
    Band,
    Bars,
    Box,
    Dots,
    Heatmap,
    Label,
    Line,
    Mark,
    Panel,
    Scene,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WIDTH, EDGE, GAP, LINE = 760, 8, 18, 17  # pixels: of the picture, around it, between panels, of a text line
DENSITY = 2  # image pixels per CSS pixel
INK, FAINT = "#222222", "#e4e4e4"


def mimebundle(scene: Scene) -> tuple[dict[str, Any], dict[str, Any]]:
    """The Scene as IPython displays it: picture and text, and the size and alternative text of the picture."""
    image = png(scene)
    width, height = (int.from_bytes(image[i : i + 4], "big") // DENSITY for i in (16, 20))  # PNG header
    data = {"image/png": base64.b64encode(image).decode(), "text/plain": scene.alt}
    return data, {"image/png": {"width": width, "height": height, "alt": scene.alt}}


def png(scene: Scene, width: int = WIDTH) -> bytes:
    """The Scene as the bytes of a PNG, `width` CSS pixels wide at twice that resolution.

    Raises: ImportError, naming the extra to install, without matplotlib.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "rnn-notebooks[lab]"') from error

    rows = [scene.panels[i : i + scene.columns] for i in range(0, len(scene.panels), scene.columns)]
    heights = [max(panel.height for panel in row) for row in rows]
    total = sum(heights) + GAP * (len(rows) - 1) + 2 * EDGE
    cell = (width - 2 * EDGE - GAP * (scene.columns - 1)) / scene.columns
    colored = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    with style.context(["default", dict.fromkeys(colored, INK), {"font.size": 12}]):
        figure = Figure(figsize=(width / 72, total / 72), dpi=72)  # one point is one pixel
        placed = []
        for i, panel in enumerate(scene.panels):
            row, column = divmod(i, scene.columns)
            x, y = EDGE + column * (cell + GAP), EDGE + sum(heights[:row]) + GAP * row
            placed.append(_Placed(figure, panel, x, y, cell, heights[row]))
        for column in range(scene.columns):  # plots under each other share their left and right edge
            stack = placed[column :: scene.columns]
            left, right = (max(side) for side in zip(*(p.margins() for p in stack), strict=True))
            for p in stack:
                p.settle(left, right)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=72 * DENSITY, facecolor="white")
    return out.getvalue()


class _Placed:
    """A panel drawn in its part of the figure; x, y (downwards), width and height in pixels."""

    def __init__(self, figure: Figure, panel: Panel, x: float, y: float, width: float, height: float) -> None:
        self.figure, self.panel, self.x, self.y, self.width, self.height = figure, panel, x, y, width, height
        self.axes = figure.add_axes((0, 0, 1, 1))
        self.bar: Axes | None = None
        self._title = textwrap.wrap(panel.title, max(10, int((width - 60) / 7.5)))
        self._named = [
            (mark, color)
            for mark, color in zip(panel.marks, panel.colors(), strict=True)
            if isinstance(mark, Line | Band | Dots | Bars) and mark.label
        ]
        longest = max((len(mark.label) for mark, _ in self._named), default=1)
        self._columns = max(1, min(len(self._named), int((width - 60) / (7 * longest + 40))))
        self._top = LINE * (len(self._title) + -(-len(self._named) // self._columns)) + 10
        _dress(self.axes, panel, width, height)
        for mark, color in zip(panel.marks, panel.colors(), strict=True):
            _draw(self.axes, mark, _hex(color))
            if isinstance(mark, Heatmap) and mark.label and self.bar is None:
                self.bar = figure.add_axes((0, 0, 0.01, 1))
                _draw_bar(self.bar, mark, height)
        self._place(x + 60, x + width - 60, y + height - 45)

    def _place(self, left: float, right: float, bottom: float) -> None:
        """Put the plot between these edges (pixels, downwards), under the title and the legend."""
        total = self.figure.bbox.height
        top = self.y + self._top
        if self.panel.equal:
            (x0, x1), (y0, y1) = self.axes.get_xlim(), self.axes.get_ylim()
            unit = min((right - left) / abs(x1 - x0), (bottom - top) / abs(y1 - y0))
            right, bottom = left + unit * abs(x1 - x0), top + unit * abs(y1 - y0)

        def part(x: float, width: float) -> tuple[float, float, float, float]:
            across = self.figure.bbox.width
            return x / across, 1 - bottom / total, width / across, (bottom - top) / total

        self.axes.set_position(part(left, right - left))
        if self.bar:
            self.bar.set_position(part(right + 10, 12))

    def margins(self) -> tuple[float, float]:
        """Pixels that the axis labels need left of the plot, and the colour bar right of it."""
        plot = self.axes.bbox
        if not self.panel.axes:
            return 4.0, 10.0
        left = plot.x0 - self.axes.get_tightbbox().x0  # type: ignore[union-attr]
        right = self.bar.get_tightbbox().x1 - plot.x1 if self.bar else 10.0  # type: ignore[union-attr]
        return left + 2, right + 2

    def settle(self, left: float, right: float) -> None:
        """Give the plot its final place, then write the title and the legend above it."""
        plot, bottom = self.axes.bbox, 6.0
        if self.panel.axes:
            bottom = plot.y0 - self.axes.get_tightbbox().y0 + 2  # type: ignore[union-attr]
        self._place(self.x + left, self.x + self.width - right, self.y + self.height - bottom)
        edge = (self.x + min(left, 60) if self.panel.axes else self.x) / self.figure.bbox.width
        for i, line in enumerate(self._title):
            y = 1 - (self.y + 2 + LINE * i) / self.figure.bbox.height
            self.figure.text(edge, y, line, fontsize=13, fontweight="bold", va="top")
        if self._named:
            y = 1 - (self.y + 2 + LINE * len(self._title)) / self.figure.bbox.height
            self.figure.legend(
                handles=[_swatch(mark, _hex(color)) for mark, color in self._named],
                loc="upper left", bbox_to_anchor=(edge, y), ncols=self._columns, frameon=False, borderpad=0,
                borderaxespad=0, handlelength=1.4, handletextpad=0.5, columnspacing=1.2, labelspacing=0.25,
            )  # fmt: skip


def _hex(color: str) -> str:
    return {"ink": INK, "grey": "#777777"}.get(color) or PALETTE[color]


def _colormap() -> Colormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("rnnlib", list(DIVERGING)).with_extremes(bad=(0.5, 0.5, 0.5, 0.43))


def _dress(axes: Axes, panel: Panel, width: float, height: float) -> None:
    """Limits, scales, ticks at round numbers, labels and grid of a panel's axes."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    for name, room in (("x", (width - 80) / 64), ("y", (height - 70) / 34)):
        spec = panel.axis(name)
        axes.set(**{f"{name}scale": spec["scale"], f"{name}lim": spec["limits"], f"{name}label": spec["label"]})
        axis = getattr(axes, f"{name}axis")
        if spec["names"]:
            size = max(map(len, spec["names"])) * 7 + 6 if name == "x" else LINE
            stride = max(1, -(-len(spec["names"]) * size // int(width - 80 if name == "x" else height - 50)))
            shown = range(0, len(spec["names"]), stride)
            if name == "x" and stride > 1:  # every third letter of a text would read as another text
                shown = range(0, len(spec["names"]), max(1, len(spec["names"]) - 1))
            axis.set_major_locator(FixedLocator(list(shown)))
            axis.set_ticklabels([spec["names"][i] for i in shown])
        elif spec["scale"] == "linear":
            axis.set_major_locator(MaxNLocator(max(1, int(room)), steps=[1, 2, 5, 10], integer=spec["whole"]))
            if not 1e-4 <= max(map(abs, spec["limits"])) < 1e6:
                axis.set_major_formatter(_scientific)
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if not any(isinstance(mark, Heatmap) for mark in panel.marks):
        axes.grid(color=FAINT)
    if not panel.axes:
        axes.set_axis_off()


def _scientific(value: float, _position: int) -> str:
    """A number far from 1, as 2×10⁶."""
    digits, power = f"{value:.2e}".split("e")
    digits = f"{float(digits):g}".replace("-", "−")
    return f"{digits}×10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}" if value else "0"


def _draw(axes: Axes, mark: Mark, color: str) -> None:
    """Draw one mark in its colour."""
    match mark:
        case Line():
            axes.plot(mark.x, mark.y, color=color, linewidth=2, linestyle=(0, (3, 2)) if mark.dashed else "-")
        case Band():
            axes.fill_between(mark.x, mark.low, mark.high, color=color, alpha=0.25, linewidth=0)
        case Dots():
            axes.scatter(mark.x, mark.y, color=color, s=mark.size**2, linewidth=0, zorder=2, clip_on=False)
        case Bars():
            axes.bar(mark.x, mark.y, color=color, width=mark.width)
        case Heatmap():
            _draw_heatmap(axes, mark)
        case Label():
            axes.text(mark.x, mark.y, mark.text, color=color, ha=mark.align, va="center")
        case Box():
            _draw_box(axes, mark, color)
        case Arrow():
            _draw_arrow(axes, mark, color)


def _reach(mark: Heatmap) -> float:
    assert mark.limits is not None
    return max(abs(end - mark.center) for end in mark.limits)


def _draw_heatmap(axes: Axes, mark: Heatmap) -> None:
    assert mark.limits is not None
    (left, right), (first, last) = (np.asarray(e) for e in mark.extent())
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(
        np.ma.masked_invalid(np.clip(mark.matrix, *mark.limits)),
        cmap=_colormap(), vmin=mark.center - _reach(mark), vmax=mark.center + _reach(mark),
        extent=(left, right, last, first), aspect="auto", interpolation="nearest",
    )  # fmt: skip
    axes.set(xlim=limits[0], ylim=limits[1])


def _draw_bar(bar: Axes, mark: Heatmap, height: float) -> None:
    """The colour bar of a heatmap: the part of the map that its limits use."""
    from matplotlib.ticker import MaxNLocator

    assert mark.limits is not None
    low, high = mark.limits
    shades = (np.linspace(low, high, 256)[:, None] - mark.center) / _reach(mark)
    bar.imshow(shades, cmap=_colormap(), vmin=-1, vmax=1, extent=(0, 1, low, high), origin="lower", aspect="auto")
    bar.set(xticks=[], ylabel=mark.label)
    bar.yaxis.set_label_position("right")
    bar.yaxis.tick_right()
    bar.yaxis.set_major_locator(MaxNLocator(max(1, int((height - 70) / 40)), steps=[1, 2, 5, 10]))
    bar.tick_params(length=0)
    bar.spines[:].set_visible(False)


def _draw_box(axes: Axes, mark: Box, color: str) -> None:
    from matplotlib.patches import Rectangle

    corner = mark.x - mark.width / 2, mark.y - mark.height / 2
    fill = "white" if mark.value is None else _colormap()(0.5 + max(-1, min(1, mark.value / mark.limit)) / 2)
    axes.add_patch(Rectangle(corner, mark.width, mark.height, facecolor=fill, edgecolor=color, linewidth=1.5, zorder=2))
    dark = mark.value is not None and np.dot(fill[:3], (0.299, 0.587, 0.114)) <= 140 / 255
    room = abs(np.diff(axes.transData.transform([(corner[0], 0), (corner[0] + mark.width, 0)])[:, 0])[0])
    size = max(8.0, min(12.0, 1.5 * room / max(1, *map(len, mark.text.split("\n")))))
    axes.text(mark.x, mark.y, mark.text, ha="center", va="center", color="white" if dark else "#111111", fontsize=size)


def _draw_arrow(axes: Axes, mark: Arrow, color: str) -> None:
    start, end = (mark.x, mark.y), (mark.to_x, mark.to_y)
    look = {"arrowstyle": "-|>", "mutation_scale": 9 + 2 * mark.width, "linewidth": mark.width, "color": color}
    axes.annotate("", end, start, arrowprops=look | {"shrinkA": 0, "shrinkB": 0}, annotation_clip=False)
    if mark.label:
        (x0, y0), (x1, y1) = axes.transData.transform([start, end])
        flat = abs(x1 - x0) > abs(y1 - y0)  # above a flat arrow, right of a steep one
        middle = (mark.x + mark.to_x) / 2, (mark.y + mark.to_y) / 2
        side: dict[str, Any] = {"ha": "center", "va": "bottom"} if flat else {"ha": "left", "va": "center"}
        offset = (0, 4) if flat else (7, 0)
        axes.annotate(mark.label, middle, offset, textcoords="offset points", annotation_clip=False, **side)


def _swatch(mark: Mark, color: str) -> Any:
    """What stands beside a mark's name in the legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    label = getattr(mark, "label", "")
    if isinstance(mark, Line):
        return Line2D([], [], color=color, linewidth=2.5, linestyle=(0, (3, 2)) if mark.dashed else "-", label=label)
    if isinstance(mark, Dots):
        return Line2D([], [], color=color, marker="o", markersize=mark.size, linestyle="", mew=0, label=label)
    return Patch(color=color, alpha=0.25 if isinstance(mark, Band) else 1.0, linewidth=0, label=label)
