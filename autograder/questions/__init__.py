"""The questions of every problem set: one module a set, named like it, holding QUESTIONS."""

from __future__ import annotations

from importlib import import_module

from autograder.question import Question

PROBLEM_SETS = ("ps1_rnn", "ps2_bptt", "ps3_gradients", "ps4_lstm", "ps5_gru", "ps6_masking")


def questions_of(problem_set: str) -> dict[str, Question]:
    """The questions of a problem set by name, in order.

    Raises:
        KeyError: there is no such problem set; the message lists those there are.
    """
    if problem_set not in PROBLEM_SETS:
        raise KeyError(f"no questions for a problem set {problem_set!r}; there are: {', '.join(PROBLEM_SETS)}")
    return {question.name: question for question in import_module(f"autograder.questions.{problem_set}").QUESTIONS}


def find(name: str) -> Question:
    """The question that `check(name, ...)` asks.

    Raises:
        KeyError: there is no such question; the message lists those there are.
    """
    everything = {key: question for problem_set in PROBLEM_SETS for key, question in questions_of(problem_set).items()}
    if name not in everything:
        raise KeyError(f"there is no question {name!r} to check; there are: {', '.join(everything)}")
    return everything[name]
