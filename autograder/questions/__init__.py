"""The questions of every problem set: one module a set, named like it, holding QUESTIONS.

A module may also say which data files its set asks for (DATA_FILES), and how much its answers may take, if that is
more than usual (AT_LEAST, by the names of autograder.run.Limits).
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from autograder.question import Question
from autograder.scored import Scored

if TYPE_CHECKING:
    from autograder.run import Limits

Asked = Question | Scored

PROBLEM_SETS = (
    "ps1_rnn",
    "ps2_bptt",
    "ps3_gradients",
    "ps4_lstm",
    "ps5_gru",
    "ps6_masking",
    "ps7_training",
    "ps8_attention",
    "ps9_capstone",
)


def questions_of(problem_set: str) -> dict[str, Asked]:
    """The questions of a problem set by name, in order.

    Raises:
        KeyError: there is no such problem set; the message lists those there are.
    """
    if problem_set not in PROBLEM_SETS:
        raise KeyError(f"no questions for a problem set {problem_set!r}; there are: {', '.join(PROBLEM_SETS)}")
    return {question.name: question for question in import_module(f"autograder.questions.{problem_set}").QUESTIONS}


def data_files(problem_set: str) -> tuple[str, ...]:
    """The names of the files that a problem set asks for beside its notebook."""
    return getattr(_module(problem_set), "DATA_FILES", ())


def generous(problem_set: str, limits: Limits) -> Limits:
    """The limits, raised to what the problem set says that its answers may take."""
    least = getattr(_module(problem_set), "AT_LEAST", {})
    return replace(limits, **{name: max(getattr(limits, name), value) for name, value in least.items()})


def _module(problem_set: str) -> ModuleType | None:
    return import_module(f"autograder.questions.{problem_set}") if problem_set in PROBLEM_SETS else None


def find(name: str) -> Asked:
    """The question that `check(name, ...)` asks.

    Raises:
        KeyError: there is no such question; the message lists those there are.
    """
    everything = {key: question for problem_set in PROBLEM_SETS for key, question in questions_of(problem_set).items()}
    if name not in everything:
        raise KeyError(f"there is no question {name!r} to check; there are: {', '.join(everything)}")
    return everything[name]
