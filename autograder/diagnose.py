"""Diagnosis by reproduction: which known mistake, or pair of mistakes, gives just the learner's numbers?

Where none does, `explain` says what is seen and never guesses. Neither shows an expected value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TypeAlias

import numpy as np

from autograder import wire
from autograder.question import Arrays, Bug, Case, Question

MATCH = 1e-6  # a reproduction agrees to this, relative to the largest entry; 1e-4 if the answers are float32


@dataclass(frozen=True)
class Raised:
    """A case that ended in an exception instead of numbers."""

    type_name: str
    message: str
    line: int

    def sentence(self) -> str:
        """What happened, for a learner."""
        if self.type_name == "NotImplementedError":
            return "This function is not written yet: it still raises NotImplementedError."
        if self.type_name in ("Returned", "WireError"):
            return f"{self.message[:1].upper()}{self.message[1:]}."
        where = f" in line {self.line} of the cell" if self.line else ""
        return f"Your function raised {self.type_name}{where}: {self.message}"


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


def reproduce(question: Question, cases: Sequence[Case], got: Sequence[Outputs], seed: int) -> tuple[Bug, ...]:
    """The fewest bugs that give exactly these answers: one, else two, else none (an empty tuple)."""
    if all(isinstance(outputs, Raised) for outputs in got):
        return ()  # an exception alone has too many causes to name one
    for bugs, simulated in _simulations(question, seed):
        if all(_same(mine, theirs) for mine, theirs in zip(got, simulated, strict=True)):
            return bugs
    return ()


def _simulations(question: Question, seed: int) -> Iterator[tuple[tuple[Bug, ...], tuple[Arrays | None, ...]]]:
    for size in (1, 2):
        for bugs in combinations(question.bugs, size):
            simulated = _simulate(question, bugs, seed)
            if simulated is not None:
                yield bugs, simulated


@lru_cache(maxsize=20_000)
def _simulate(question: Question, bugs: tuple[Bug, ...], seed: int) -> tuple[Arrays | None, ...] | None:
    """What the model answers with these bugs in it: per case arrays, or None where it raises."""
    function = question.with_bugs(bugs)
    if function is None:
        return None
    answers: list[Arrays | None] = []
    for case in question.draw(seed):
        try:
            with np.errstate(all="ignore"):
                answers.append(tuple(np.asarray(output) for output in function(*case.inputs)))
        except (ValueError, IndexError):
            answers.append(None)
    return tuple(answers)


def _same(mine: Outputs, theirs: Arrays | None) -> bool:
    if isinstance(mine, Raised) or theirs is None:
        return isinstance(mine, Raised) and theirs is None
    return all(_close(a, b) for a, b in zip(mine, theirs, strict=True))


def _close(mine: np.ndarray | wire.Refused, theirs: np.ndarray) -> bool:
    if isinstance(mine, wire.Refused) or mine.shape != theirs.shape or mine.dtype.kind not in "fiub":
        return False
    match = 100 * MATCH if mine.dtype == np.float32 else MATCH
    finite = np.isfinite(theirs)
    if not np.array_equal(np.isfinite(mine), finite):
        return False
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0.0, where=finite)))
    return bool((np.abs(mine.astype(np.float64) - theirs)[finite] <= match * scale).all())


def explain(question: Question, cases: Sequence[Case], got: Sequence[Outputs], findings: Sequence[Finding]) -> str:
    """Say what is seen in the first case that fails, when no known mistake reproduces the answers."""
    first = findings[0]
    sentences = {outputs.sentence() for outputs in got if isinstance(outputs, Raised)}
    if len(sentences) == 1 and all(isinstance(outputs, Raised) for outputs in got):
        return sentences.pop()
    here = [finding for finding in findings if finding.case is first.case]
    text = " ".join(dict.fromkeys(finding.text for finding in here))
    if len(cases) > 1 and cases[1].name == "the same call again" and first.case is cases[1]:
        return f"The first call is right, the same call again is not: something is kept between calls. {text}"
    if first.kind == "shape":
        text += _shape_hint(question, got[cases.index(first.case)], first)
    right = [case.name for case in cases if not any(finding.case is case for finding in findings)]
    if right:
        text += f" Right, though: {'; '.join(dict.fromkeys(right))}."
    return f"In the case “{first.case.name}”: {text}"


def _shape_hint(question: Question, got: Outputs, finding: Finding) -> str:
    if isinstance(got, Raised):
        return ""
    mine = got[question.outputs.index(finding.output)]
    if not isinstance(mine, np.ndarray) or mine.ndim < 2:
        return " An axis was summed away, or indexed, on the way." if isinstance(mine, np.ndarray) else ""
    if mine.ndim != len(question.axes[finding.output]):
        return " The number of axes differs: was an axis added, or one step returned instead of all?"
    return " Compare axis by axis: which of them is not the size that its name says?"
