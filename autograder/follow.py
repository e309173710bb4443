"""Follow-through: a slip is paid for once.

A backward function is right if it is the backward of the learner's *own* forward: `own_forward` compares it with that
forward's directional derivatives, measured at inputs a little moved. A function that calls an earlier one is right if
nothing but the earlier one's mistake shows in it: `earlier` compares the diagnoses.

Neither pays for easier work. A forward that is far from the one asked for, ignores an argument or does not bend has
gradients that are easier to find; a mistake may be marked so too (`Bug.eases`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autograder.diagnose import Finding, Outputs, Raised
from autograder.question import Arrays, Bug, Case, Question
from autograder.scored import Scored
from autograder.verdict import Verdict

STEP = 1e-2  # how far inputs are moved, along a direction of norm 1
OFFSETS = (-2, -1, 1, 2)
# Fourth order: truncation is near 1e-8 of the derivative, float32 rounding near 1e-4.
TOLERANCE = 1e-3
CASES = 2  # general cases that are probed
NEAR = 0.3  # how far, relatively, an unknown wrong forward may lie from the right one
SIZE, BEND = 0.01, 0.05  # the least share of the reference's gradient and curvature


@dataclass(frozen=True, eq=False)
class Probe:
    """A general case, the argument that is moved, and the output that says its gradient."""

    case: Case
    argument: int
    output: str
    direction: np.ndarray

    def inputs(self) -> Iterator[Arrays]:
        """The forward's arguments at each of `OFFSETS`."""
        for offset in OFFSETS:
            moved = list(self.case.inputs)
            moved[self.argument] = moved[self.argument] + offset * STEP * self.direction
            yield tuple(moved)


def probes(question: Question, cases: Sequence[Case], seed: int) -> tuple[Probe, ...]:
    """Where a pair's forward function is asked once more: every argument with a gradient, in two general cases."""
    if not question.backward:
        return ()
    rng = np.random.default_rng([seed, len(cases)])
    general = {id(case.inputs[0]): case for case in reversed(cases) if not case.edge}
    drawn = []
    for case in list(reversed(general.values()))[:CASES]:
        for output in question.backward.outputs:
            argument = question.arguments.index(output.removeprefix("d"))
            direction = rng.normal(size=case.inputs[argument].shape)
            drawn.append(Probe(case, argument, output, direction / np.linalg.norm(direction)))
    return tuple(drawn)


def own_forward(
    question: Question,
    cases: Sequence[Case],
    expected: Sequence[Arrays],
    got: Sequence[Outputs],
    drawn: Sequence[Probe],
    moved: Sequence[Outputs],
    findings: Sequence[Finding],
    bugs: Sequence[Bug],
) -> set[str]:
    """Which of a backward function's outputs are right for the learner's own, wrong forward function.

    Args:
        question, cases, expected: what was asked, and the reference's answers.
        got: the learner's answers.
        drawn, moved: the probes, and the learner's forward outputs at each of their inputs.
        findings: what is wrong.
        bugs: what explains it.

    Returns:
        Names of outputs; none where the forward function is right, or wrong in a way that makes its gradient easy.
    """
    forward = question.returned[0]
    wrong = [finding for finding in findings if finding.output in forward]
    if not any(finding.kind == "value" and not finding.edge for finding in wrong):
        return set()
    if any(finding.kind != "value" for finding in wrong) or any(bug.eases for bug in bugs):
        return set()
    if not bugs and not all(_near(mine, theirs[: len(forward)]) for mine, theirs in zip(got, expected, strict=True)):
        return set()
    right = {output for output in question.outputs if output not in forward}
    bent = set()  # in one of an argument's directions is enough: in another a good forward may happen to be straight
    for k, probe in enumerate(drawn):
        i = cases.index(probe.case)
        curve = _curve(moved[len(OFFSETS) * k : len(OFFSETS) * (k + 1)], got[i], expected[i][: len(forward)])
        if curve is None or not _agrees(question, probe, got[i], expected[i], curve):
            right.discard(probe.output)
        elif probe.output not in bent and _bends(question, probe, curve):
            bent.add(probe.output)
    return right & bent


def _near(mine: Outputs, theirs: Arrays) -> bool:
    return not isinstance(mine, Raised) and all(
        isinstance(a, np.ndarray) and np.linalg.norm(a - b) <= NEAR * np.linalg.norm(b)
        for a, b in zip(mine, theirs, strict=False)
    )


def _curve(moved: Sequence[Outputs], here: Outputs, like: Arrays) -> list[np.ndarray] | None:
    """The learner's forward along a probe: at `OFFSETS`, and last where it was not moved."""
    assert not isinstance(here, Raised)
    vectors = [_numbers(outputs, like) for outputs in (*moved, here[: len(like)])]
    return None if any(vector is None for vector in vectors) else vectors  # type: ignore[return-value]


def _bends(question: Question, probe: Probe, curve: Sequence[np.ndarray]) -> bool:
    """Whether the learner's forward is curved along a probe, if less than the reference."""
    forward, upstream = len(question.returned[0]), probe.case.upstream or ()
    inputs = (*probe.inputs(), probe.case.inputs)
    reference = [_joined(question.reference(*arguments, *upstream)[:forward]) for arguments in inputs]
    mine, theirs = (np.max(np.abs(c[-2] - 2 * c[-1] + c[0])) for c in (curve, reference))
    return bool(mine >= BEND * theirs)


def _agrees(question: Question, probe: Probe, got: Outputs, expected: Arrays, curve: Sequence[np.ndarray]) -> bool:
    """Whether a gradient is that of the learner's forward, in the direction of one probe."""
    at = question.outputs.index(probe.output)
    mine, theirs = got[at], expected[at]  # type: ignore[index]
    if not isinstance(mine, np.ndarray) or mine.shape != theirs.shape or not np.isfinite(mine).all():
        return False
    if np.max(np.abs(mine), initial=0.0) < SIZE * np.max(np.abs(theirs), initial=0.0):
        return False
    before2, before, after, after2, _ = curve
    upstream = probe.case.upstream or ()
    # f'(0) = (f(-2δ) - 8 f(-δ) + 8 f(δ) - f(2δ)) / 12δ + O(δ⁴)
    derivative = (before2 - 8 * before + 8 * after - after2) / (12 * STEP)
    measured, claimed = _joined(upstream or (np.ones(1),)) @ derivative, np.sum(mine * probe.direction)
    size = max(np.linalg.norm(mine), np.linalg.norm(theirs)) / np.sqrt(mine.size)
    return bool(abs(measured - claimed) <= TOLERANCE * size)


def _numbers(outputs: Outputs, like: Arrays) -> np.ndarray | None:
    """Forward outputs as one vector; None where they are not what they should be."""
    if isinstance(outputs, Raised):
        return None
    for mine, theirs in zip(outputs, like, strict=False):
        if not isinstance(mine, np.ndarray) or mine.shape != theirs.shape or not np.isfinite(mine).all():
            return None
    return _joined(outputs[: len(like)])


def _joined(arrays: Sequence[object]) -> np.ndarray:
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])


def said(question: Question, findings: Sequence[Finding], paid: set[str]) -> str:
    """What a learner is told whose backward was judged against their own forward."""
    assert question.backward is not None
    name = question.backward.name
    names = [output for output in question.backward.outputs if output in paid]
    text = f"{name} was judged against your own {question.backward.forward}: right, and paid, {_list(names)}."
    wrong = {finding.output for finding in findings}
    left = [output for output in question.backward.outputs if output in wrong - paid]
    return text + (f" Not its gradient: {_list(left)}." if left else "")


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def earlier(question: Question | Scored, verdict: Verdict, verdicts: Mapping[str, Verdict]) -> Verdict:
    """A verdict with the points of what is wrong only by an earlier question's mistake.

    Args:
        question, verdict: the question, and what the judge says by itself.
        verdicts: those of earlier questions, by name.
    """
    mine = verdict.diagnosis.bugs if verdict.diagnosis else ()
    if isinstance(question, Scored):
        return verdict
    eases = {bug.name for bug in question.bugs if bug.eases}
    for name in question.builds_on:
        before = verdicts.get(name)
        theirs = before.diagnosis.bugs if before and before.diagnosis else ()
        if before and verdict.diagnosis and mine and set(mine) <= set(theirs) and not eases & set(mine):
            parts = tuple(replace(part, points=part.max_points, reason="") for part in verdict.parts)
            text = f"Nothing is wrong here but the slip in “{before.title}”: these points are yours. Mend it there."
            return replace(verdict, parts=parts, diagnosis=replace(verdict.diagnosis, text=text))
    return verdict
