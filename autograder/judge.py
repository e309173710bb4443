"""From answers to points: rebuild the inputs, run the reference, compare, and say what went wrong.

Trusted side only. Nothing here executes or trusts what a submission wrote: answers are numbers (`wire.decode`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from autograder import follow, scored, wire
from autograder.diagnose import Finding, Outputs, Raised, explain, reproduce
from autograder.follow import Probe
from autograder.question import Arrays, Bug, Case, Question
from autograder.scored import Scored
from autograder.verdict import Diagnosis, PartResult, Verdict

# Relative to an output's largest entry. Work done in float32 is correct work, whatever the dtype it is returned in (a
# float32 buffer inside shows in every output). A test holds every known mistake at least 100 times further away.
TOLERANCE = 2e-5


NOTHING = "None"


@dataclass(frozen=True)
class Trial:
    """A question's cases from one seed, with what the reference answers; of a pair, with probes of the forward."""

    cases: tuple[Case, ...]
    expected: tuple[Arrays, ...]
    probes: tuple[Probe, ...] = ()

    def encoded(self) -> list[list[list[dict[str, Any]]]]:
        """The inputs as data for `ask`: cases, then probes."""
        cases = [[[wire.encode(a, case.layout) for a in call] for call in case.calls] for case in self.cases]
        return cases + [[[wire.encode(a) for a in inputs]] for probe in self.probes for inputs in probe.inputs()]


def trial(question: Question | Scored, seed: int) -> Trial | scored.Trial:
    """What is asked from one seed, and what is known about it."""
    return scored.trial(question, seed) if isinstance(question, Scored) else _trial(question, seed)


@lru_cache(maxsize=64)
def _trial(question: Question, seed: int) -> Trial:
    """Draw the cases of `seed` and run the reference on them."""
    cases = question.draw(seed)
    expected = tuple(question.reference(*case.arguments) for case in cases)
    return Trial(cases, expected, follow.probes(question, cases, seed))


def judge(question: Question | Scored, answers: Any, seed: int) -> Verdict:
    """Judge the answers to one question.

    Args:
        question: what was asked.
        answers: what `ask` collected, possibly forged or damaged: anything is judged, nothing raises.
        seed: the seed that the inputs were drawn from.
    """
    if isinstance(question, Scored):
        return scored.judge(question, answers, seed)
    drawn = _trial(question, seed)
    count = len(drawn.cases)
    if not isinstance(answers, list) or len(answers) != len(drawn.encoded()):
        return no_answers(question, "The answers do not belong to this question's inputs.")
    got = [_outputs(question, answer) for answer in answers[:count]]
    findings = [
        finding
        for case, outputs, expected in zip(drawn.cases, got, drawn.expected, strict=True)
        for finding in compare(question, case, outputs, expected)
    ]
    bugs = _bugs(question, drawn, got, findings)
    paid: set[str] = set()
    if findings and drawn.probes:
        moved = [_outputs(question, answer, forward_only=True) for answer in answers[count:]]
        paid = follow.own_forward(question, drawn.cases, drawn.expected, got, drawn.probes, moved, findings, bugs)
    parts = _score(question, findings, paid)
    return Verdict(question.name, question.title, parts, _diagnose(question, drawn, got, findings, bugs, paid))


def no_answers(question: Question | Scored, reason: str) -> Verdict:
    """The verdict where nothing came back: no points, and the reason."""
    parts = tuple(PartResult(part.name, 0.0, part.points, reason) for part in question.parts)
    return Verdict(question.name, question.title, parts, Diagnosis((), reason, ""))


def _score(question: Question, findings: Sequence[Finding], paid: set[str]) -> tuple[PartResult, ...]:
    wrong = {(f.output, f.edge): f for f in reversed(findings) if f.output not in paid}
    general_is_right = not any(finding for finding in findings if not finding.edge)
    results = []
    for part in question.parts:
        reasons = [wrong[output, part.edge].text for output in part.outputs if (output, part.edge) in wrong]
        if part.edge and not general_is_right:
            reasons = ["Pays once the general cases are right."]
        results.append(PartResult(part.name, 0.0 if reasons else part.points, part.points, " ".join(reasons[:1])))
    return tuple(results)


def _bugs(question: Question, drawn: Trial, got: Sequence[Outputs], findings: Sequence[Finding]) -> tuple[Bug, ...]:
    """The known mistakes that give these answers; of a pair, else those that give the forward's alone."""
    if not findings:
        return ()
    bugs = reproduce(question, drawn.cases, got)
    forward = question.returned[0]
    if not bugs and question.backward and any(finding.output in forward for finding in findings):
        bugs = reproduce(question, drawn.cases, got, first=len(forward))
    return bugs


def _diagnose(
    question: Question,
    drawn: Trial,
    got: Sequence[Outputs],
    findings: Sequence[Finding],
    bugs: tuple[Bug, ...],
    paid: set[str],
) -> Diagnosis | None:
    if not findings:
        return None
    text, read = explain(question, drawn.cases, got, findings), question.lesson
    if bugs:
        text, read = bugs[0].says, f"{question.lesson}, “{bugs[0].read}”"
    if len(bugs) > 1:
        text = f"Two things together give just your numbers. First: {text} And then: {bugs[1].says}"
    if paid and question.backward:
        text = f"{question.backward.forward}: {text} {follow.said(question, findings, paid)}"
    return Diagnosis(tuple(bug.name for bug in bugs), text, read)


# ---- reading and comparing ---------------------------------------------------------------------------------------


def _outputs(question: Question, answer: Any, forward_only: bool = False) -> Outputs:
    """One case's answer as arrays by output, as far as it can be read so."""
    if not isinstance(answer, dict):
        return Raised("WireError", "the answer is damaged", 0)
    if isinstance(answer.get("raised"), dict):
        raised = answer["raised"]
        name, message, line, call = (raised.get(key) for key in ("type", "message", "line", "call"))
        who = question.called(1 if call == 1 and type(call) is int else 0)
        return Raised(
            name[:100] if isinstance(name, str) else "an error",
            message[:500] if isinstance(message, str) else "",
            line if type(line) is int and 0 <= line < 1_000_000 else 0,
            who,
        )
    try:
        value = wire.decode(answer.get("value"))
    except wire.WireError as error:
        return Raised("WireError", str(error), 0)
    groups = question.returned[:1] if forward_only else question.returned
    values = (value,) if not question.backward else value
    if not isinstance(values, tuple) or len(values) != len(groups):
        return Raised("WireError", "the answer is damaged", 0)
    if question.backward and not isinstance(values[0], tuple):
        return Raised("WireError", "the answer is damaged", 0)
    outputs: list[np.ndarray | wire.Refused] = []
    for call, (names, items) in enumerate(zip(groups, values, strict=True)):
        if len(names) == 1 and not (question.backward and call == 0):
            items = (items,)
        if not isinstance(items, tuple) or len(items) != len(names):
            return Raised(
                "Returned", _describe_return(names, items, question.backward and call == 0), 0, question.called(call)
            )
        outputs += map(_as_array, items)
    return outputs


def _as_array(value: Any) -> np.ndarray | wire.Refused:
    """A list of equal arrays is the array it stands for; anything else that is not an array is refused."""
    if isinstance(value, tuple):
        items = [_as_array(item) for item in value]
        if items and all(isinstance(item, np.ndarray) for item in items) and len({i.shape for i in items}) == 1:  # type: ignore[union-attr]
            return np.stack(items)  # type: ignore[arg-type]
        return wire.Refused(f"{len(items)} things of different shapes, where one array is asked")
    return wire.Refused(NOTHING) if value is None else value


def _describe_return(names: Sequence[str], value: Any, and_cache: object) -> str:
    if isinstance(value, tuple):
        came = f"{len(value) + bool(and_cache)} things"
    else:
        came = (
            "nothing (is a `return` missing?)"
            if value is None
            else "one array"
            if isinstance(value, np.ndarray)
            else f"a {value.type_name}"
        )
    order = ", ".join([*names, *["a cache"] * bool(and_cache)])
    forgotten = and_cache and came in ("one array", *[f"{len(names)} things"] * (len(names) > 1))
    why = ". What your backward function will read must go along, as the last thing: the cache" * bool(forgotten)
    return f"returned {came}; expected {len(names) + bool(and_cache)}, in this order: {order}{why}"


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
        hint = " Where real numbers give complex ones, as eigenvalues do, take np.abs first." * (mine.dtype.kind == "c")
        return "kind", f"{name} came as {mine.dtype}; expected float64 or float32.{hint}"
    if mine.shape != theirs.shape:
        axes = f": ({', '.join(question.axes[name])})" if len(question.axes[name]) == theirs.ndim else ""
        wrapped = " It lies in one more pair of brackets: is there a comma too many?"
        hint = wrapped if mine.shape == (1, *theirs.shape) else ""
        return "shape", f"{name} has shape {mine.shape}; expected {theirs.shape}{axes}.{hint}"
    if not np.isfinite(mine).all():
        where = _at(question, name, np.argwhere(~np.isfinite(mine))[0])
        return "finite", f"{name} holds nan or infinity, first at {where}."
    error = np.abs(mine.astype(np.float64) - theirs) / _largest(theirs)
    if (error > tolerance).any():
        wrong = np.argwhere(error > tolerance)
        if question.backward and name in question.backward.outputs and "step" in question.axes[name]:
            time = question.axes[name].index("step")
            wrong = wrong[np.argsort(-wrong[:, time], kind="stable")]  # backwards, the last step comes first
        share = f"{len(wrong)} of {mine.size} entries differ" if mine.size > 1 else "the entry differs"
        percent = 100 * np.max(error)
        size = f"by up to {percent:{'.0f' if percent > 10 else '.2g'}} % of the largest entry"
        rounded = mine.dtype.kind in "iub" and not np.array_equal(theirs, np.round(theirs))
        cut = f" It came as {mine.dtype}: fractions are cut off." if rounded else ""
        return "value", f"{name}: {share}, {size}; first at {_at(question, name, wrong[0])}.{cut}"
    return None


def _largest(array: np.ndarray) -> float:
    return float(np.max(np.abs(array), initial=0.0)) or 1.0


def _at(question: Question, name: str, index: Sequence[int]) -> str:
    """Where an entry lies, in the words of its axes; a question may ask for arrays of any number of axes."""
    if len(index) != len(question.axes[name]):
        return f"entry ({', '.join(map(str, index))})"
    return ", ".join(f"{axis} {i}" for axis, i in zip(question.axes[name], index, strict=True)) or "its only entry"
