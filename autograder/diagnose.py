"""Diagnosis by reproduction: which known mistake, or pair of mistakes, gives just the learner's numbers?

Where none does, `explain` says what is seen and never guesses. Neither shows an expected value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
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

    def give_these(bugs: tuple[Bug, ...]) -> bool:
        function = question.with_bugs(bugs)
        return function is not None and all(
            _same(mine, _run(function, case), first) for case, mine in zip(cases, got, strict=True)
        )

    alone: dict[Bug, Arrays | None] = {}  # what each gives in the first case
    for bug in question.bugs:
        alone[bug] = _alone(question, bug, cases[0])
        if _same(got[0], alone[bug], first) and give_these((bug,)):
            return (bug,)
    return next(filter(give_these, _pairs(question, cases[0], got[0], alone, first)), ())


@lru_cache(maxsize=4096)  # who checks again is asked the same cases
def _alone(question: Question, bug: Bug, case: Case) -> Arrays | None:
    return _run(question.with_bugs([bug]) or question.model, case)


def _pairs(
    question: Question, case: Case, mine: Outputs, alone: Mapping[Bug, Arrays | None], first: int | None
) -> Iterator[tuple[Bug, ...]]:
    """All pairs, the likelier ones first.

    Likely: neither breaks an output that is right, together they break all wrong ones. Likelier still: what only one of
    the two breaks is as it breaks it.
    """
    pairs = list(combinations(question.bugs, 2))
    right = _run(question.model, case)
    if isinstance(mine, Raised) or right is None:
        yield from pairs
        return
    wrong, breaks, fits = _broken(mine[:first], right), {}, {}
    for bug, answer in alone.items():
        breaks[bug] = wrong if answer is None else _broken(answer[:first], right)
        fits[bug] = wrong if answer is None else wrong - _broken(mine[:first], answer)

    def rank(pair: tuple[Bug, ...]) -> int:
        a, b = pair
        if not (breaks[a] <= wrong >= breaks[b] and breaks[a] | breaks[b] == wrong):
            return 2
        return 0 if breaks[a] - breaks[b] <= fits[a] and breaks[b] - breaks[a] <= fits[b] else 1

    yield from sorted(pairs, key=rank)


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
    scale = float(np.max(np.abs(theirs), initial=0.0))
    if not np.isfinite(scale):
        finite = np.isfinite(theirs)
        return np.array_equal(np.isfinite(mine), finite) and _close(mine[finite], theirs[finite])
    return bool(np.max(np.abs(mine.astype(np.float64) - theirs), initial=0.0) <= MATCH * max(1.0, scale))


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
