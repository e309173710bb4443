"""What a question is: inputs from a seed, a reference, points per output, and the mistakes it knows by name."""

from __future__ import annotations

import inspect
import re
import textwrap
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]

PUBLIC_SEED = 2026  # what a learner's own check draws from; grading draws from a secret seed


@dataclass(frozen=True, eq=False)
class Case:
    """One set of positional arguments.

    `edge` cases (one step, one sequence, huge numbers) pay only once the general cases are right, so that zeros
    earn nothing. `layout` is how the arrays lie in the learner's memory (`wire.LAYOUTS`). `condition` is how many
    times more than elsewhere honest rounding shows in the outputs.
    """

    name: str
    inputs: Arrays
    edge: bool = False
    layout: str = "C"
    condition: float = 1.0


@dataclass(frozen=True)
class Part:
    """Points for some outputs: all of the general cases, or, with `edge`, all of the edge cases."""

    name: str
    points: float
    outputs: tuple[str, ...]
    edge: bool = False


@dataclass(frozen=True, eq=False)
class Bug:
    """A mistake that people really make, as a departure from the question's model.

    Attributes:
        name: what reports call it.
        edits: text of the model -> text instead, all made at once.
        says: for the learner: what the numbers show and what that suggests. Never a solution.
        read: the section of the question's lesson to read again.
    """

    name: str
    edits: Mapping[str, str]
    says: str
    read: str


@dataclass(frozen=True, eq=False)
class Question:
    """One function that a learner writes, and everything needed to judge its answers.

    Attributes:
        name: what `check` is called with, and the grade_id of its cell.
        title: for reports.
        arguments, outputs: names, in order, for messages.
        axes: what each output's axes mean, for messages: {"hs": ("step", "sequence", "unit")}.
        reference: float64 inputs -> outputs, from rnnlib.
        cases: a generator of random numbers -> the cases. The same seed gives the same cases.
        parts: how the points are spread.
        model: the reference once more, written plainly; `bugs` edit its text. A test holds it equal to `reference`.
        lesson: file name of the lesson that teaches it.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: Mapping[str, tuple[str, ...]]
    reference: Callable[..., Arrays]
    cases: Callable[[np.random.Generator], Iterable[Case]]
    parts: tuple[Part, ...]
    model: Callable[..., Arrays]
    bugs: tuple[Bug, ...]
    lesson: str

    @property
    def points(self) -> float:
        """The most that can be earned."""
        return sum(part.points for part in self.parts)

    def draw(self, seed: int) -> tuple[Case, ...]:
        """The cases of a seed; questions of one problem set draw independently."""
        return tuple(self.cases(np.random.default_rng([seed, zlib.crc32(self.name.encode())])))

    def with_bugs(self, bugs: Iterable[Bug]) -> Callable[..., Arrays] | None:
        """The model with these mistakes made in it, or None if they touch the same text."""
        edits: dict[str, str] = {}
        for bug in bugs:
            if any(a in b or b in a for a in edits for b in bug.edits):
                return None
            edits.update(bug.edits)
        return _compile(self.model, tuple(edits.items()))


@lru_cache(maxsize=4096)
def _compile(model: Callable[..., Arrays], edits: tuple[tuple[str, str], ...]) -> Callable[..., Arrays]:
    text = textwrap.dedent(inspect.getsource(model))
    replacement = dict(edits)
    for find in replacement:
        if text.count(find) != 1:
            raise ValueError(f"{model.__name__}: a bug edits {find!r}, which stands there {text.count(find)} times")
    if replacement:
        longest_first = sorted(replacement, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), lambda match: replacement[match[0]], text)
    scope: dict[str, Any] = {"np": np}
    exec(compile(text, f"<{model.__name__} with {len(edits)} edits>", "exec"), scope)
    return scope[model.__name__]
