"""Diagnosis by reproduction: which known mistake, or pair of mistakes, gives just the learner's numbers?

Where none does, `explain` says what is seen and never guesses. Neither shows an expected value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, compress
from typing import TypeAlias

import numpy as np

from autograder import wire
from autograder.question import Arrays, Bug, Case, Question

MATCH = 1e-4  # a reproduction agrees to this, relative to the largest entry: as near as float32 work comes


@dataclass(frozen=True)
class Raised:
    """A case that ended in an exception instead of numbers."""

    type_name: str
    message: str
    line: int
    who: str = "your function"

    def sentence(self) -> str:
        """What happened, for a learner."""
        who = self.who[:1].upper() + self.who[1:]
        if self.type_name == "NotImplementedError":
            what = "This function" if self.who == "your function" else who
            return f"{what} is not written yet: it still raises NotImplementedError."
        if self.type_name == "WireError":
            return f"{self.message[:1].upper()}{self.message[1:]}."
        if self.type_name == "Returned":
            return f"{who} {self.message}."
        where = f" in line {self.line} of the cell" if self.line else ""
        return f"{who} raised {self.type_name}{where}: {self.message.rstrip('.')}."


Outputs: TypeAlias = Raised | Sequence["np.ndarray | wire.Refused"]


@dataclass(frozen=True)
class Finding:
    """One output of one case that is wrong. `kind` is raised, kind, shape, finite or value."""

    case: Case
    output: str
    kind: str
    text: str

    @property
    def edge(self) -> bool:
        """Whether it is an edge case."""
        return self.case.edge


def reproduce(
    question: Question, cases: Sequence[Case], got: Sequence[Outputs], first: int | None = None
) -> tuple[Bug, ...]:
    """The fewest bugs that give exactly these answers: one, else two, else none (an empty tuple).

    Args:
        question, cases, got: what was asked and answered.
        first: look only at so many outputs from the first; None: at all.
    """
    if all(isinstance(outputs, Raised) for outputs in got):
        return ()  # an exception alone has too many causes to name one
    for bugs in chain(combinations(question.bugs, 1), _pairs(question, cases[0], got[0], first)):
        function = question.with_bugs(bugs)
        if function and all(_same(mine, _run(function, case), first) for case, mine in zip(cases, got, strict=True)):
            return bugs
    return ()


def _pairs(question: Question, case: Case, mine: Outputs, first: int | None) -> Iterator[tuple[Bug, ...]]:
    """All pairs, the likely ones first: neither breaks an output that is right, together they break all wrong ones."""
    right = _run(question.model, case)
    if isinstance(mine, Raised) or right is None:
        yield from combinations(question.bugs, 2)
        return
    wrong = _broken(mine[:first], right)
    by_itself: dict[Bug, set[int]] = {}
    for bug in question.bugs:
        answer = _run(question.with_bugs([bug]) or question.model, case)
        by_itself[bug] = wrong if answer is None else _broken(answer[:first], right)
    pairs = list(combinations(question.bugs, 2))
    likely = [by_itself[a] <= wrong >= by_itself[b] and by_itself[a] | by_itself[b] == wrong for a, b in pairs]
    yield from compress(pairs, likely)
    yield from compress(pairs, map(operator.not_, likely))


def _broken(mine: Sequence[np.ndarray | wire.Refused], right: Arrays) -> set[int]:
    """Which outputs differ from the right ones."""
    return {k for k, (a, b) in enumerate(zip(mine, right, strict=False)) if not _close(a, b)}


def _run(function: Callable[..., Arrays], case: Case) -> Arrays | None:
    """What a model with bugs answers to one case, or None where it raises."""
    try:
        with np.errstate(all="ignore"):
            return tuple(np.asarray(output) for output in function(*case.arguments))
    except (ValueError, IndexError, ArithmeticError, NameError):
        return None


def _same(mine: Outputs, theirs: Arrays | None, first: int | None) -> bool:
    if isinstance(mine, Raised) or theirs is None:
        return isinstance(mine, Raised) and theirs is None
    return all(_close(a, b) for a, b in zip(mine[:first], theirs[:first], strict=True))


def _close(mine: np.ndarray | wire.Refused, theirs: np.ndarray) -> bool:
    if isinstance(mine, wire.Refused) or mine.shape != theirs.shape or mine.dtype.kind not in "fiub":
        return False
    finite = np.isfinite(theirs)
    if not np.array_equal(np.isfinite(mine), finite):
        return False
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0, where=finite)))
    return bool((np.abs(mine.astype(np.float64) - theirs)[finite] <= MATCH * scale).all())


def explain(question: Question, cases: Sequence[Case], got: Sequence[Outputs], findings: Sequence[Finding]) -> str:
    """Say what is seen in the first case that fails, when no known mistake reproduces the answers."""
    first = findings[0]
    sentences = {outputs.sentence() for outputs in got if isinstance(outputs, Raised)}
    if len(sentences) == 1 and all(isinstance(outputs, Raised) for outputs in got):
        return sentences.pop()
    here = [finding for finding in findings if finding.case is first.case]
    outputs = got[cases.index(first.case)]
    text = " ".join(dict.fromkeys(finding.text + _shape_hint(question, outputs, finding) for finding in here))
    if len(cases) > 1 and cases[1].name == "the same call again" and first.case is cases[1]:
        return f"The first call is right, the same call again is not: something is kept between calls. {text}"
    right = [case.name for case in cases if not any(finding.case is case for finding in findings)]
    if right:
        text += f" Right, though: {'; '.join(right)}."
    return f"In the case “{first.case.name}”: {text}"


def _shape_hint(question: Question, got: Outputs, finding: Finding) -> str:
    if isinstance(got, Raised) or finding.kind != "shape":
        return ""
    mine = got[question.outputs.index(finding.output)]
    if isinstance(mine, wire.Refused) or mine.ndim > len(question.axes[finding.output]):
        return ""
    if mine.ndim < len(question.axes[finding.output]):
        return " An axis was summed away, or indexed, on the way."
    return " Compare axis by axis: which of them is not the size that its name says?"
