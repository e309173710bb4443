"""One submission's way from file to verdict: ingest, run, judge. Pure: it reads nothing and writes nothing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from autograder import follow, wire
from autograder.ingest import Submission, Ungradable, digest, is_run, name_of, parse, rebuild
from autograder.judge import judge, no_answers, trial
from autograder.questions import Asked
from autograder.run import CellRun, Outcome
from autograder.verdict import Diagnosis, Verdict, card

OUR_FAULT = "grader failed"  # how a submission ended that the grader itself failed on
SAFE_OUTPUTS = ("text/plain", "image/png", "image/jpeg")  # what a reader of feedback may be shown


class Runs(Protocol):
    """What the pipeline needs of a sandbox."""

    def run(self, sources: list[str], inputs: dict[str, list], files: Mapping[str, bytes] = ...) -> Outcome: ...


@dataclass(frozen=True)
class Graded:
    """A graded submission. `ended` is how its run ended, or "ungradable"; `detail` says so in a sentence."""

    notebook: dict[str, Any]
    verdicts: tuple[Verdict, ...]
    ended: str
    detail: str
    sandboxed: bool = True
    seconds: float = field(default=0.0, compare=False)


def grade(
    raw: bytes | Submission, released: dict[str, Any], questions: dict[str, Asked], seed: int, sandbox: Runs
) -> Graded:
    """Grade one submission.

    Args:
        raw: the notebook's bytes, or these and data files.
        released: the notebook that was handed out, as JSON.
        questions: the problem set's questions by name; a cell whose grade_id is a question's name asks it.
        seed: the problem set's secret seed.
        sandbox: where the learner's code runs.

    Returns:
        A graded notebook, whatever was handed in: what cannot be run scores 0, with a reason.
    """
    submission = Submission(raw) if isinstance(raw, bytes) else raw
    try:
        cells = parse(submission.notebook)
    except Ungradable as reason:
        return ungradable(str(reason), released, questions)
    return grade_notebook(rebuild(cells, released), questions, seed, sandbox, submission.files, submission.refused)


def grade_notebook(
    notebook: dict[str, Any],
    questions: dict[str, Asked],
    seed: int,
    sandbox: Runs,
    files: Mapping[str, bytes] | None = None,
    refused: Mapping[str, str] | None = None,
) -> Graded:
    """Grade a notebook that `rebuild` made; it gets the outputs and the verdicts.

    Args:
        files: data files that shall lie beside it, by name.
        refused: why there is none, by name.
    """
    running = [cell for cell in notebook["cells"] if is_run(cell)]
    seed = _own_seed(seed, running, files or {})
    inputs = {name: trial(question, seed).encoded() for name, question in questions.items()}
    beside = {"files": files} if files else {}
    outcome = sandbox.run([cell["source"] for cell in running], inputs, **beside)
    verdicts: dict[str, Verdict] = {}
    errors: dict[str, str] = {}
    for cell, result in zip(running, outcome.cells, strict=True):
        question = questions.get(name_of(cell))
        if question is None:
            cell["outputs"] = safe(result.outputs if result else [])
            if result and result.error:
                errors.setdefault(name_of(cell), result.error)
            continue
        answers, reason = _answers(question, result, outcome, errors)
        verdict = no_answers(question, reason) if reason else judge(question, answers, seed)
        verdict = _without(verdict, refused or {})
        verdicts[question.name] = follow.earlier(question, verdict, verdicts)
    _point_to_the_first(verdicts)
    _show(notebook, verdicts)
    ordered = tuple(verdicts.get(name) or no_answers(q, "Its check cell is missing.") for name, q in questions.items())
    detail = " ".join([outcome.detail + _stopped(running, outcome), *(refused or {}).values()])
    seconds = sum(result.seconds for result in outcome.cells if result)
    return Graded(notebook, ordered, outcome.ended, detail, outcome.sandboxed, seconds)


def ungradable(reason: str, released: dict[str, Any], questions: dict[str, Asked]) -> Graded:
    """The record of a submission that cannot be run: the instructor's notebook, no points, the reason."""
    notebook = rebuild([], released)
    verdicts = {name: no_answers(question, reason) for name, question in questions.items()}
    _show(notebook, verdicts)
    return Graded(notebook, tuple(verdicts.values()), "ungradable", reason)


def _without(verdict: Verdict, refused: Mapping[str, str]) -> Verdict:
    """Where points are missing and a data file too, its reason comes first."""
    if not refused or verdict.points == verdict.max_points:
        return verdict
    said = verdict.diagnosis or Diagnosis((), "", "")
    return replace(verdict, diagnosis=replace(said, text=" ".join([*refused.values(), said.text])))


def _show(notebook: dict[str, Any], verdicts: dict[str, Verdict]) -> None:
    """Make each verdict the only output of its cell."""
    for cell in notebook["cells"]:
        if name_of(cell) in verdicts:
            cell["outputs"] = [as_output(verdicts[name_of(cell)])]


def _point_to_the_first(verdicts: dict[str, Verdict]) -> None:
    """Where one slip shows in several questions, say at the later ones that it is the same."""
    seen: dict[tuple[str, ...], str] = {}
    for name, verdict in verdicts.items():
        said = verdict.diagnosis
        if said and said.bugs in seen and verdict.points < verdict.max_points:
            text = f"The same slip as in “{seen[said.bugs]}”; mended there, it may be mended here. {said.text}"
            verdicts[name] = replace(verdict, diagnosis=replace(said, text=text))
        elif said and said.bugs:
            seen[said.bugs] = verdict.title


def _stopped(running: list[dict[str, Any]], outcome: Outcome) -> str:
    """Which cells did not come to their end, in a sentence; a run may finish all the same."""
    failed = [
        f"{name_of(cell)} ({result.error.split(':')[0].rstrip('.')})"
        for cell, result in zip(running, outcome.cells, strict=True)
        if result and result.error and outcome.ended == "finished"
    ]
    return f" Not to their end: {', '.join(failed)}." if failed else ""


def _own_seed(seed: int, running: list[dict[str, Any]], files: Mapping[str, bytes]) -> int:
    """A submission's seed: the secret one and what was handed in.

    A submission may print its inputs, and its owner reads them in the feedback. To another submission they are no use.
    """
    data = [f"{name} {digest(content)}" for name, content in sorted(files.items())]
    text = json.dumps([str(seed), *(cell["source"] for cell in running), *data])  # where a cell ends must show
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _answers(question: Asked, result: CellRun | None, outcome: Outcome, errors: dict[str, str]) -> tuple[Any, str]:
    """The answers that a check cell emitted, or the reason why there are none: `errors` holds what failed before."""
    if result is None:
        return None, f"This check never ran. {outcome.detail}"
    for output in result.outputs:
        bundle = output.get("data", {}).get(wire.MIME)
        if isinstance(bundle, dict) and bundle.get("question") == question.name:
            return bundle.get("answers"), ""
    if not result.error:
        return None, "The check gave no answers: was `check` replaced or its output swallowed?"
    cause = errors.get(f"{question.name}_solution") or next(iter(errors.values()), "")
    reason = f"{result.error.rstrip('.')}."
    if cause and cause != result.error:
        reason += f" A cell before it had failed: {cause.rstrip('.')}."
    if "ModuleNotFoundError" in reason:
        reason += " When graded there are Python's standard library, NumPy and matplotlib, nothing else."
    return None, reason


def as_output(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a cell's only output: nbgrader reads the points in the text, a person the card."""
    return {
        "output_type": "execute_result",
        "data": {"text/plain": repr(verdict), "text/html": card(verdict)},
        "metadata": {},
        "execution_count": 1,
    }


def safe(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A learner's outputs reduced to text and pictures: no HTML, no script, no widget reaches a reader.

    Their form is sound already (`autograder.run` made it so); here it is decided what may be shown.
    """
    kept = []
    for output in outputs:
        if "data" not in output:
            kept.append(output)
            continue
        data = {mime: content for mime, content in output["data"].items() if _is_safe(mime, content)}
        if data:
            kept.append({"output_type": "display_data", "data": data, "metadata": {}})
    return kept


def _is_safe(mime: str, content: Any) -> bool:
    if not isinstance(content, str) or mime not in SAFE_OUTPUTS:
        return False
    return mime == "text/plain" or re.fullmatch(r"[A-Za-z0-9+/=\s]*", content) is not None  # a picture is base64
