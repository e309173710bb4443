"""Ask a learner's function for its answers: the same few lines on the learner's machine and in the sandbox.

Each case is decoded afresh, so a function that changes its inputs hurts nobody; what it raises becomes an answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from autograder import wire


def ask(function: Callable[..., Any], cases: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Call `function` on every case.

    Args:
        function: what the learner wrote.
        cases: one list of encoded positional arguments per case (`wire.encode`).

    Returns:
        One dict per case: {"value": encoded} or {"raised": {"type", "message", "line"}}. `line` counts within the
        learner's cell, 0 if the error arose elsewhere.
    """
    answers = []
    for case in cases:
        try:
            value = function(*(wire.decode(argument) for argument in case))
        except Exception as error:
            answers.append({"raised": describe(error)})
        else:
            answers.append({"value": wire.encode(value)})
    return answers


def describe(error: BaseException) -> dict[str, Any]:
    """Say what was raised: type, first 500 characters of the message, and the line of the learner's own code."""
    own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if is_cell(frame.filename)]
    try:
        message = str(error)[:500]
    except Exception:  # a learner's exception class may fail to print itself
        message = ""
    return {"type": type(error).__name__[:100], "message": message, "line": (own[-1] if own else 0) or 0}


def is_cell(filename: str) -> bool:
    """Whether a traceback's file is a notebook cell (IPython and ipykernel name them differently)."""
    return filename.startswith("<ipython-input") or "ipykernel_" in filename or filename.startswith("<cell")
