"""What a question is: inputs from a seed, a reference, points per output, and the mistakes it knows by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from autograder.model import Arrays, edited

PUBLIC_SEED = 2026  # what a learner's own check draws from; grading draws from a secret seed


@dataclass(frozen=True, eq=False)
class Case:
    """One set of positional arguments.

    `edge` cases (one step, one sequence, huge numbers) pay only once the general cases are right, so that zeros
    earn nothing. `layout` is how the arrays lie in the learner's memory (`wire.LAYOUTS`). `condition` is how many
    times more than elsewhere honest rounding shows in the outputs. `upstream` is what flows back, for a question that
    asks for a backward function too: one array for each forward output, or () for a loss.
    """

    name: str
    inputs: Arrays
    edge: bool = False
    layout: str = "C"
    condition: float = 1.0
    upstream: Arrays | None = None

    @property
    def calls(self) -> tuple[Arrays, ...]:
        """The positional arguments of each function that is called."""
        return (self.inputs,) if self.upstream is None else (self.inputs, self.upstream)

    @property
    def arguments(self) -> Arrays:
        """All of them, as a question's reference and model take them."""
        return (*self.inputs, *(self.upstream or ()))


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
        eases: whether what builds on a function with this mistake becomes easier to write, so that it cannot be paid
            in its stead (`autograder.follow`).
    """

    name: str
    edits: Mapping[str, str]
    says: str
    read: str
    eases: bool = False


@dataclass(frozen=True)
class Backward:
    """The second function of a question that asks for a forward function and its backward.

    A cache is the learner's own affair: the forward function returns its outputs and, last, a cache; the backward
    function takes `arguments` and that cache, fresh each time.

    Attributes:
        forward, name: what the two are called, for messages.
        arguments: names of what flows back, in order.
        outputs: names of what it returns, in order: each "d" and the argument that it is the gradient of.
    """

    forward: str
    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Question:
    """A function that a learner writes, or a forward and backward pair, and everything needed to judge the answers.

    Attributes:
        name: what `check` is called with, and the grade_id of its cell.
        title: for reports.
        arguments, outputs: names, in order, for messages; of a pair, arguments of the forward function, and outputs of
            both, the forward's first.
        axes: what each output's axes mean, for messages: {"hs": ("step", "sequence", "unit")}.
        reference: float64 inputs -> outputs, from rnnlib.
        cases: a generator of random numbers -> the cases. The same seed gives the same cases.
        parts: how the points are spread.
        model: the reference once more, written plainly; `bugs` edit its text. A test holds it equal to `reference`.
        lesson: file name of the lesson that teaches it.
        backward: for a pair; reference and model then take what flows back as well, after the other arguments.
        builds_on: names of earlier questions of the set whose functions this one may call. Where it is wrong by just
            their mistakes, under the same names, its points follow (`autograder.follow`).
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
    backward: Backward | None = None
    builds_on: tuple[str, ...] = ()

    @property
    def returned(self) -> tuple[tuple[str, ...], ...]:
        """The names of the outputs, function by function."""
        if not self.backward:
            return (self.outputs,)
        return self.outputs[: -len(self.backward.outputs)], self.backward.outputs

    def called(self, call: int = 0) -> str:
        """What a message calls the learner's function."""
        return ("your " + (self.backward.forward, self.backward.name)[call]) if self.backward else "your function"

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
        return edited(self.model, tuple(edits.items()))


def with_upstream(cases: Iterable[Case], upstream: Callable[[Case], Arrays]) -> Iterator[Case]:
    """A forward question's cases with what flows back: `upstream` draws it, for each case but the second.

    That one is the first call again, with the same arrays.
    """
    general, again, *others = cases
    general = replace(general, upstream=upstream(general))
    yield general
    yield replace(again, upstream=general.upstream)
    for case in others:
        yield replace(case, upstream=upstream(case))
