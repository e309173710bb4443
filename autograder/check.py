"""The learner's instant check: the same questions, the same judge as the final grade, on public inputs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

from autograder import follow
from autograder.ask import ask, describe
from autograder.judge import judge, no_answers, trial
from autograder.question import PUBLIC_SEED
from autograder.questions import find
from autograder.verdict import Verdict

_seen: dict[str, Verdict] = {}  # what this session's checks said last: what builds on a slip is told so


def check(question: str, *functions: Callable[..., Any]) -> Verdict:
    """Ask your function, or your forward and backward functions, and judge the answers.

    Args:
        question: the question's name, as in the cell that you were given.
        functions: what you wrote, in the order of that cell.

    Returns:
        A verdict: a notebook shows it as a card, `print` as sentences. A wrong answer is a verdict, never an error.

    Raises:
        KeyError: there is no such question; the message lists those there are.
        TypeError: something that cannot be called, or more or fewer functions than the question asks for.
    """
    asked = find(question)
    for function in functions:
        if not callable(function):
            raise TypeError(
                f"check({question!r}, ...) takes the function itself, not what it returns: got "
                f"{type(function).__name__}. Write its name without parentheses."
            )
    if len(functions) != len(asked.returned):
        expected = f"{asked.backward.forward}, {asked.backward.name}" if asked.backward else "your function"
        raise TypeError(f"got {len(functions)} functions: expected check({question!r}, {expected})")
    try:
        with redirect_stderr(sys.stdout):  # nbgrader fails a cell that wrote to stderr; warnings are no failure
            answers = ask(functions, trial(asked, PUBLIC_SEED).encoded())
    except KeyboardInterrupt as interrupt:
        line = describe(interrupt)["line"]
        where = f" in line {line} of its cell" if line else ""
        return no_answers(asked, f"Stopped: your function was still running{where}. Does its loop end?")
    _seen[question] = follow.earlier(asked, judge(asked, answers, PUBLIC_SEED), _seen)
    return _seen[question]
