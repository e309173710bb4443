"""The learner's instant check: the same questions, the same judge as the final grade, on public inputs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any

from autograder.ask import ask, describe
from autograder.judge import judge, no_answers, trial
from autograder.question import PUBLIC_SEED
from autograder.questions import find
from autograder.verdict import Verdict


def check(question: str, function: Callable[..., Any]) -> Verdict:
    """Ask your function and judge its answers.

    Args:
        question: the question's name, as in the cell that you were given.
        function: what you wrote.

    Returns:
        A verdict: a notebook shows it as a card, `print` as sentences. A wrong answer is a verdict, never an error.

    Raises:
        KeyError: there is no such question; the message lists those there are.
        TypeError: `function` cannot be called.
    """
    asked = find(question)
    if not callable(function):
        raise TypeError(
            f"check({question!r}, ...) takes the function itself, not what it returns: got {type(function).__name__}. "
            "Write its name without parentheses."
        )
    try:
        with redirect_stderr(
            sys.stdout
        ):  # to nbgrader, a cell that wrote to stderr has failed; warnings are no failure
            answers = ask(function, trial(asked, PUBLIC_SEED).encoded())
    except KeyboardInterrupt as interrupt:
        line = describe(interrupt)["line"]
        where = f" in line {line} of its cell" if line else ""
        return no_answers(asked, f"Stopped: your function was still running{where}. Does its loop end?")
    return judge(asked, answers, PUBLIC_SEED)
