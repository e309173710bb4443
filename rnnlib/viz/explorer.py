"""A picture with controls: one widget for every explorer of the course.

The browser sends the values of the controls, Python answers with the picture that `draw` makes of them. The browser
has one question on its way at a time and then asks with the newest values, so a slow `draw` skips frames but never
lags behind.
"""

from __future__ import annotations

import inspect
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import anywidget
import traitlets

from rnnlib.viz.scene import DIVERGING, PALETTE, Scene
from rnnlib.viz.static import mimebundle, png

_HERE = pathlib.Path(__file__).parent


@dataclass(frozen=True)
class Control:
    """One argument of `draw` that a reader may change: its name, and the label that stands beside it."""

    name: str
    label: str

    def read(self, value: Any) -> Any:
        """The value as `draw` gets it. Raises ValueError where it cannot be one."""
        raise NotImplementedError

    def from_browser(self, raw: Any) -> Any:
        """What the browser's input holds, as `draw` gets it."""
        return self.read(raw)

    def to_browser(self, value: Any) -> Any:
        """The reverse of `from_browser`."""
        return value

    def face(self) -> dict[str, Any]:
        """What the browser needs to build the input."""
        return asdict(self) | {"kind": type(self).__name__}


@dataclass(frozen=True)
class Slider(Control):
    """A number from `minimum` to `maximum` in steps of `step`, shown with its `unit`; an int if all of them are ints.

    With `steps_per_second` a play button moves it along: time, step by step. With `counts`, the name of a Text, it ends
    where that text ends, and goes there whenever the text changes.
    """

    minimum: float
    maximum: float
    step: float
    value: float
    unit: str = ""
    steps_per_second: float = 0.0
    counts: str = ""

    def __post_init__(self) -> None:
        if not (self.minimum < self.maximum and self.step > 0):
            raise ValueError(f"Slider {self.name}: minimum {self.minimum}, maximum {self.maximum}, step {self.step}")
        object.__setattr__(self, "value", self.read(self.value))

    def read(self, value: Any) -> float:
        """The nearest step to a number within the limits."""
        if not isinstance(value, int | float) or not self.minimum <= value <= self.maximum:
            raise ValueError(f"{self.name} = {value!r} is no number from {self.minimum} to {self.maximum} {self.unit}")
        number = self.minimum + round((value - self.minimum) / self.step) * self.step
        return round(number, self.decimals) if isinstance(number, float) else number

    @property
    def decimals(self) -> int:
        """Digits after the point that tell its steps apart."""
        exact = (d for d in range(12) if all(math.isclose(n, round(n, d)) for n in (self.minimum, self.step)))
        return next(exact, 12)

    def end(self, text: str) -> float:
        """How far it goes over a text that it counts."""
        return max(self.minimum, min(self.maximum, len(text)))

    def face(self) -> dict[str, Any]:
        return super().face() | {"decimals": self.decimals}


@dataclass(frozen=True)
class Choice(Control):
    """One of `options`, each shown as its `str`."""

    options: Sequence[Any]
    value: Any

    def __post_init__(self) -> None:
        self.read(self.value)

    def read(self, value: Any) -> Any:
        if value not in self.options:
            raise ValueError(f"{self.name} = {value!r} is none of {', '.join(map(repr, self.options))}")
        return value

    def from_browser(self, raw: Any) -> Any:
        return self.options[raw]

    def to_browser(self, value: Any) -> Any:
        return list(self.options).index(value)

    def face(self) -> dict[str, Any]:
        names = [str(option) for option in self.options]
        return {"kind": "Choice", "name": self.name, "label": self.label, "options": names}


@dataclass(frozen=True)
class Toggle(Control):
    """Yes or no."""

    value: bool

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"{self.name} = {value!r}, expected True or False")
        return value


@dataclass(frozen=True)
class Text(Control):
    """Text that a reader types, at most `max_length` characters; it may be empty."""

    value: str
    max_length: int = 40

    def __post_init__(self) -> None:
        self.read(self.value)

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or len(value) > self.max_length:
            raise ValueError(f"{self.name} = {value!r}, expected text of at most {self.max_length} characters")
        return value


class Explorer(anywidget.AnyWidget):
    """A picture that follows its controls.

    Args:
        draw: called with one keyword argument per control, returns the Scene. A plain function: test it by calling it.
        controls: Slider, Choice, Toggle, Text.
        title, description: above the picture: what it is, and what to look for.

    Raises: whatever `draw` raises for the first values. Later, in the browser, an exception is shown in red in place of
        a new picture and kept in `error`; `set` raises it.
    """

    _esm = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("scene.js", "explorer.js"))
    _css = _HERE / "explorer.css"
    _face = traitlets.Dict().tag(sync=True)
    _picture = traitlets.Dict().tag(sync=True)

    def __init__(self, draw: Callable[..., Scene], *controls: Control, title: str = "", description: str = "") -> None:
        self.controls = {control.name: control for control in controls}
        self.values = {name: control.value for name, control in self.controls.items()}  # type: ignore[attr-defined]
        self.error: Exception | None = None
        self._drawer = draw
        try:
            inspect.signature(draw).bind(**self.values)
        except TypeError as error:
            names = ", ".join(self.values) or "(none)"
            raise TypeError(f"draw must take one argument per control, {names}: {error}") from None
        super().__init__()
        self._face = {
            "title": title,
            "description": description,
            "controls": [control.face() for control in controls],
            "palette": PALETTE,
            "diverging": DIVERGING,
        }
        self.set()
        self.on_msg(self._answer)

    def set(self, **values: Any) -> Scene:
        """Change some controls from Python, redraw here and in the browser, and return the Scene.

        Raises: ValueError for a value that its control does not take; whatever `draw` raises.
        """
        unknown = [name for name in values if name not in self.controls]
        if unknown:
            raise ValueError(f"no control {', '.join(unknown)}; there is {', '.join(self.controls)}")
        self._redraw(lambda: {name: self.controls[name].read(value) for name, value in values.items()}, question=None)
        if self.error:
            raise self.error
        return self.scene

    def png(self) -> bytes:
        """The present picture as a PNG."""
        return png(self.scene)

    def _answer(self, _widget: Any, question: Mapping[str, Any], _buffers: Any) -> None:
        raw = question["values"]
        self._redraw(lambda: {name: self.controls[name].from_browser(raw[name]) for name in raw}, question["id"])

    def _redraw(self, changed: Callable[[], Mapping[str, Any]], question: str | None) -> None:
        """Draw, and hand the picture, or the error beside the last good picture, to the browser in one message."""
        self.error = None
        try:
            self.values = self._with(changed())
            scene = self._drawer(**self.values)
            if not isinstance(scene, Scene):
                raise TypeError(f"draw returned {type(scene).__name__}: return viz.Scene([...], alt=...)")
            self.scene = scene
        except Exception as error:
            self.error = error
        shown = {}
        if not self.error:
            spec, data = self.scene.to_wire()
            shown = {"spec": spec, "data": data}
        self._picture = {
            **self._picture,
            **shown,
            "number": self._picture.get("number", 0) + 1,
            "answers": question,
            "values": {name: control.to_browser(self.values[name]) for name, control in self.controls.items()},
            "error": f"{type(self.error).__name__}: {self.error}" if self.error else "",
        }

    def _with(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """All values after some have changed; a slider that counts a text stays within it."""
        values = {**self.values, **changed}
        for name, control in self.controls.items():
            if isinstance(control, Slider) and control.counts:
                end = control.end(values[control.counts])
                to_the_end = control.counts in changed and name not in changed
                values[name] = end if to_the_end else min(values[name], end)
        return values

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and beside it the picture and its text for pages that have no kernel."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        picture, size = mimebundle(self.scene)
        size["image/png"] |= {name: self._face[name] for name in ("title", "description")}
        return {**data, **picture}, {**metadata, **size}
