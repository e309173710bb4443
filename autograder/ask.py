"""Ask a learner's function for its answers: the same few lines on the learner's machine and in the sandbox.

Each case is decoded afresh, so a function that changes its inputs hurts nobody; what it raises becomes an answer.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import Any

from autograder import wire


def ask(functions: Sequence[Callable[..., Any]], cases: Sequence[Sequence[Sequence[Any]]]) -> list[dict[str, Any]]:
    """Call the functions on every case.

    Args:
        functions: what the learner wrote: one function, or a forward function and its backward.
        cases: for each case, for each function, its encoded positional arguments (`wire.encode`). Where a case has
            fewer, only the first functions are called.

    Returns:
        One dict per case: {"value": encoded} or {"raised": {"type", "message", "line", "call"}}. `line` counts within
        the learner's cell, 0 if the error arose elsewhere; `call` says in which function. Of two functions, the
        forward's outputs without its cache, and what the backward returned.
    """
    return [_answer(functions, case) for case in cases]


def _answer(functions: Sequence[Callable[..., Any]], case: Sequence[Sequence[Any]]) -> dict[str, Any]:
    values: list[dict[str, Any]] = []
    cache: list[Any] = []
    for call, (function, arguments) in enumerate(zip(functions, case, strict=False)):
        try:
            value = function(*(wire.decode(argument) for argument in arguments), *cache)
        except Exception as error:
            return {"raised": {**describe(error), "call": call}}
        if len(functions) == 1:
            return {"value": wire.encode(value)}
        if call == 0:
            if not isinstance(value, (tuple, list)) or len(value) < 2:
                message = f"returned {_kind(value)}; expected its outputs and, last, a cache for the backward function"
                return {"raised": {"type": "Returned", "message": message, "line": 0, "call": 0}}
            *value, last = value
            cache = [last]
        values.append(wire.encode(value))  # at once: the next function may change it
    return {"value": {"kind": "tuple", "items": values}}


def _kind(value: Any) -> str:
    """What came back, for a message."""
    if value is None:
        return "nothing (is a `return` missing?)"
    return f"one {type(value).__name__[:100]}" if not isinstance(value, (tuple, list)) else f"{len(value)} thing"


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
