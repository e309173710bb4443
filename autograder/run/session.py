"""Runs one submission's cells, one after the other, in the process that is the submission's own.

Everything here lies within the submission's reach: it may break it, and then loses its own answers. Nothing here
decides how a run ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from autograder.run.shell import Recorder, Shell, Stream, message_of

STUB = import_module("autograder.check")  # in here, that is sandboxed_check


class TookTooLong(BaseException):
    """Raised in a cell whose time is over; not an Exception, so that `except Exception` lets it pass."""


def run(shell: Shell, job: dict[str, Any], write: Callable[[bytes], None]) -> None:
    """Run every cell and hand over one line of JSON a cell, as soon as it has ended.

    Args:
        shell: freshly forked.
        job: {"sources": [...], "inputs": {...}, "limits": {...}}.
        write: takes the bytes of one line.
    """
    limits = job["limits"]
    process = os.getpid()
    random.seed(0)
    STUB.cases.update(job["inputs"])
    shell.recorder = recorder = Recorder(limits["output_bytes"] // 4)
    sys.stdout, sys.stderr = Stream("stdout", recorder), Stream("stderr", recorder)
    for number, source in enumerate(job["sources"]):
        recorder.start()
        started = time.monotonic()
        error = _run_cell(shell, source, limits["cell_seconds"])
        if os.getpid() != process:  # a cell forked and forgot to end its copy
            os._exit(0)
        write(_line(number, recorder, error, time.monotonic() - started))


def _run_cell(shell: Shell, source: str, seconds: float) -> str | None:
    """Run one cell; returns what went wrong in a sentence."""

    def ring(*_: Any) -> None:
        raise TookTooLong(f"took longer than {seconds:g} s")

    problem: BaseException | None
    try:
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            result = shell.run_cell(source, store_history=True)
            problem = result.error_before_exec or result.error_in_exec
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        close_figures()
    except BaseException as escaped:
        problem = escaped
    if problem is None:
        return None
    name, message = type(problem).__name__, message_of(problem)
    if not any(output["output_type"] == "error" for output in shell.recorder.outputs):
        shell.recorder.error(name, message, [f"{name}: {message}"])
    return message if isinstance(problem, TookTooLong) else f"{name}: {message}"


def close_figures() -> None:
    """Free what a cell has drawn."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and pyplot.get_fignums():
        pyplot.close("all")


def _line(number: int, recorder: Recorder, error: str | None, seconds: float) -> bytes:
    record = {"cell": number, "outputs": recorder.outputs, "error": error, "seconds": seconds}
    try:
        text = json.dumps(record, ensure_ascii=False, default=str)
    except Exception as failure:  # a display that is no JSON, or a submission that broke json for itself
        reason = f"the cell's outputs could not be written down: {type(failure).__name__}"
        text = json.dumps({"cell": number, "outputs": [], "error": error or reason, "seconds": seconds})
    return text.encode("utf-8", "replace") + b"\n"
