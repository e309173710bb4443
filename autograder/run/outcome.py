"""What a run takes and gives back: its limits and its outcome. Plain values, so that any process can hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class SandboxUnavailable(RuntimeError):
    """This machine cannot start a sandbox; the message names the fix."""


@dataclass(frozen=True)
class Limits:
    """How much one submission may use.

    Args:
        cell_seconds: wall clock of one cell; the cell is interrupted and the next one runs.
        submission_seconds: wall clock of all cells together; then the submission is ended.
        memory_bytes: address space of one process, and real memory of all processes together.
        processes: processes and threads together.
        file_bytes: size of one file.
        scratch_bytes: size of the private folder that is home, working and temporary folder in one.
        output_bytes: everything the cells hand back, answers included.
    """

    cell_seconds: float = 10
    submission_seconds: float = 60
    memory_bytes: int = 2 << 30
    processes: int = 64
    file_bytes: int = 32 << 20
    scratch_bytes: int = 64 << 20
    output_bytes: int = 4 << 20


@dataclass(frozen=True)
class CellRun:
    """One cell that ran: nbformat-4 `outputs`, the `error` that ended it (None if none did), wall clock `seconds`."""

    outputs: list[dict[str, Any]]
    error: str | None
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """One submission's run.

    Args:
        ended: "finished", "deadline", "died" or "output limit".
        detail: one sentence for the learner.
        cells: one per source; None for a cell that never ran.
        sandboxed: False only where the instructor allowed grading without a sandbox.
    """

    ended: str
    detail: str
    cells: list[CellRun | None]
    sandboxed: bool
