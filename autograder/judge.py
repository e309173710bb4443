"""From answers to points: rebuild the inputs, run the reference, compare, and say what went wrong.

Trusted side only. Nothing here executes or trusts what a submission wrote: answers are numbers (`wire.decode`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from autograder import wire
from autograder.diagnose import Finding, Outputs, Raised, explain, reproduce
from autograder.question import Arrays, Case, Question
from autograder.verdict import Diagnosis, PartResult, Verdict

# Relative to an output's largest entry. Work done in float32 is correct work, whatever the dtype it is returned in (a
# float32 buffer inside shows in every output). A test holds every known mistake at least 100 times further away.
TOLERANCE = 2e-5


NOTHING = "None"


@dataclass(frozen=True)
class Trial:
    """A question's cases from one seed, with what the reference answers."""

    cases: tuple[Case, ...]
    expected: tuple[Arrays, ...]

    def encoded(self) -> list[list[dict[str, Any]]]:
        """The inputs as data for `ask`."""
        return [[wire.encode(array, case.layout) for array in case.inputs] for case in self.cases]


@lru_cache(maxsize=64)
def trial(question: Question, seed: int) -> Trial:
    """Draw the cases of `seed` and run the reference on them."""
    cases = question.draw(seed)
    return Trial(cases, tuple(question.reference(*case.inputs) for case in cases))


def judge(question: Question, answers: Any, seed: int) -> Verdict:
    """Judge the answers to one question.

    Args:
        question: what was asked.
        answers: what `ask` collected, possibly forged or damaged: anything is judged, nothing raises.
        seed: the seed that the inputs were drawn from.
    """
    drawn = trial(question, seed)
    if not isinstance(answers, list) or len(answers) != len(drawn.cases):
        return no_answers(question, "The answers do not belong to this question's inputs.")
    got = [_outputs(question, answer, expected) for answer, expected in zip(answers, drawn.expected, strict=True)]
    findings = [
        finding
        for case, outputs, expected in zip(drawn.cases, got, drawn.expected, strict=True)
        for finding in compare(question, case, outputs, expected)
    ]
    parts = _score(question, findings)
    return Verdict(question.name, question.title, parts, _diagnose(question, drawn, got, findings))


def no_answers(question: Question, reason: str) -> Verdict:
    """The verdict where nothing came back: no points, and the reason."""
    parts = tuple(PartResult(part.name, 0.0, part.points, reason) for part in question.parts)
    return Verdict(question.name, question.title, parts, Diagnosis((), reason, ""))


def _score(question: Question, findings: Sequence[Finding]) -> tuple[PartResult, ...]:
    wrong = {(finding.output, finding.edge): finding for finding in reversed(findings)}
    general_is_right = not any(finding for finding in findings if not finding.edge)
    results = []
    for part in question.parts:
        reasons = [wrong[output, part.edge].text for output in part.outputs if (output, part.edge) in wrong]
        if part.edge and not general_is_right:
            reasons = ["Pays once the general cases are right."]
        results.append(PartResult(part.name, 0.0 if reasons else part.points, part.points, " ".join(reasons[:1])))
    return tuple(results)


def _diagnose(
    question: Question, drawn: Trial, got: Sequence[Outputs], findings: Sequence[Finding]
) -> Diagnosis | None:
    if not findings:
        return None
    bugs = reproduce(question, drawn.cases, got)
    if bugs:
        text = bugs[0].says
        if len(bugs) > 1:
            text = f"Two things together give just your numbers. First: {text} And then: {bugs[1].says}"
        return Diagnosis(tuple(bug.name for bug in bugs), text, f"{question.lesson}, “{bugs[0].read}”")
    return Diagnosis((), explain(question, drawn.cases, got, findings), question.lesson)


# ---- reading and comparing ---------------------------------------------------------------------------------------


def _outputs(question: Question, answer: Any, expected: Arrays) -> Outputs:
    """One case's answer as arrays by output, as far as it can be read so."""
    if not isinstance(answer, dict):
        return Raised("WireError", "the answer is damaged", 0)
    if isinstance(answer.get("raised"), dict):
        raised = answer["raised"]
        line = raised.get("line")
        return Raised(str(raised.get("type"))[:100], str(raised.get("message"))[:500], line if type(line) is int else 0)
    try:
        value = wire.decode(answer.get("value"))
    except wire.WireError as error:
        return Raised("WireError", str(error), 0)
    if len(question.outputs) == 1:
        return (_as_array(value),)
    if not isinstance(value, tuple) or len(value) != len(expected):
        return Raised("Returned", _describe_return(question, value), 0)
    return tuple(_as_array(item) for item in value)


def _as_array(value: Any) -> np.ndarray | wire.Refused:
    """A list of equal arrays is the array it stands for; anything else that is not an array is refused."""
    if isinstance(value, tuple):
        items = [_as_array(item) for item in value]
        if items and all(isinstance(item, np.ndarray) for item in items) and len({i.shape for i in items}) == 1:  # type: ignore[union-attr]
            return np.stack(items)  # type: ignore[arg-type]
        return wire.Refused(f"{len(items)} things of different shapes, where one array is asked")
    return wire.Refused(NOTHING) if value is None else value


def _describe_return(question: Question, value: Any) -> str:
    if isinstance(value, tuple):
        came = f"{len(value)} things"
    else:
        came = (
            "nothing (is a `return` missing?)"
            if value is None
            else "one array"
            if isinstance(value, np.ndarray)
            else f"a {value.type_name}"
        )
    return (
        f"your function returned {came}; expected {len(question.outputs)}, in this order: {', '.join(question.outputs)}"
    )


def compare(question: Question, case: Case, got: Outputs, expected: Arrays) -> list[Finding]:
    """What is wrong with one case, output by output; an empty list if nothing is."""
    if isinstance(got, Raised):
        return [Finding(case, name, "raised", got.sentence()) for name in question.outputs]
    found = []
    for name, mine, theirs in zip(question.outputs, got, expected, strict=True):
        problem = _problem(question, name, mine, theirs, TOLERANCE * case.condition)
        if problem:
            found.append(Finding(case, name, *problem))
    return found


def _problem(
    question: Question, name: str, mine: np.ndarray | wire.Refused, theirs: np.ndarray, tolerance: float
) -> tuple[str, str] | None:
    if isinstance(mine, wire.Refused) and mine.type_name == NOTHING:
        return "kind", "Your function gave nothing back. Does it end in `return ...`? To print is not to return."
    if isinstance(mine, wire.Refused):
        return "kind", f"{name} should be an array of numbers; it is: {mine.type_name}."
    if mine.dtype.kind == "c" or mine.dtype == np.float16:
        return "kind", f"{name} came as {mine.dtype}; expected float64 or float32."
    if mine.shape != theirs.shape:
        axes = ", ".join(question.axes[name])
        wrapped = " It lies in one more pair of brackets: is there a comma too many?"
        hint = wrapped if mine.shape == (1, *theirs.shape) else ""
        return "shape", f"{name} has shape {mine.shape}; expected {theirs.shape}: ({axes}).{hint}"
    if not np.isfinite(mine).all():
        where = _at(question, name, np.argwhere(~np.isfinite(mine))[0])
        return "finite", f"{name} holds nan or infinity, first at {where}."
    error = np.abs(mine.astype(np.float64) - theirs) / _largest(theirs)
    if (error > tolerance).any():
        wrong = np.argwhere(error > tolerance)
        share = f"{len(wrong)} of {mine.size} entries differ" if mine.size > 1 else "the entry differs"
        size = f"by up to {100 * np.max(error):.2g} % of the largest entry"
        cut = f" It came as {mine.dtype}: fractions are cut off." if mine.dtype.kind in "iub" else ""
        return "value", f"{name}: {share}, {size}; first at {_at(question, name, wrong[0])}.{cut}"
    return None


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0.0)) or 1.0


def _at(question: Question, name: str, index: Sequence[int]) -> str:
    return ", ".join(f"{axis} {i}" for axis, i in zip(question.axes[name], index, strict=True)) or "its only entry"
