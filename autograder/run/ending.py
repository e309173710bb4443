"""Puts the warden's record and the cells' reports together into an outcome that a learner can read."""

from __future__ import annotations

from typing import Any

from autograder.run.outcome import CellRun, Limits, Outcome


def outcome(record: dict[str, Any], runs: list[CellRun], cells: int, limits: Limits, sandboxed: bool) -> Outcome:
    """Say how a run ended.

    Args:
        record: the warden's {"cause", "status"}; never the submission's word.
        runs: the cells that reported.
        cells: how many there were.
        limits: what the submission might use.
        sandboxed: whether walls stood.

    Returns:
        The outcome; the cell that was running at the end carries the reason as its error.
    """
    if len(runs) == cells:
        return Outcome("finished", "Every cell ran.", list(runs), sandboxed)
    ended, detail = _explain(record["cause"], record["status"], f"cell {len(runs) + 1}", limits)
    never_ran: list[CellRun | None] = [None] * (cells - len(runs) - 1)
    return Outcome(ended, detail, [*runs, CellRun([], detail, 0.0), *never_ran], sandboxed)


def _explain(cause: str, status: int, where: str, limits: Limits) -> tuple[str, str]:
    if cause == "deadline":
        return "deadline", f"All cells together took longer than {limits.submission_seconds:g} s; {where} was running."
    if cause == "output limit":
        return cause, f"The outputs were larger than {limits.output_bytes / (1 << 20):g} MiB in {where}."
    if cause == "memory":
        return "died", f"The notebook used more than {limits.memory_bytes / (1 << 30):g} GiB of memory in {where}."
    if cause == "garbled":
        return "died", f"The notebook wrote into the channel that carries its own results in {where}."
    if cause == "server":
        return "died", f"The sandbox ended while {where} was running."
    how = f"signal {-status}" if status < 0 else f"exit code {status}"
    return "died", f"The process ended by itself in {where} ({how})."
