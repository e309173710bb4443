"""A question's model as a text: put together from steps, changed by mistakes, compiled.

A mistake is an edit of the text (`question.Bug`), so a model's whole computation stands in one text. Where models share
steps, such as a forward function and the backward function that needs all of it, each step is written once.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, ...]


def joined(takes: Sequence[str], steps: Sequence[Callable[..., Any]], gives: Sequence[str]) -> Callable[..., Arrays]:
    """One model out of steps: their bodies, one after the other.

    Args:
        takes: names of its arguments.
        steps: functions that end in `return`. What a step takes, those before it made under that name, or it is an
            argument.
        gives: its outputs, as they stand behind `return`.

    Raises:
        ValueError: if a step takes what nobody made.
    """
    known, bodies = set(takes), []
    for step in steps:
        source = textwrap.dedent(inspect.getsource(step))
        (function,) = ast.parse(source).body
        assert isinstance(function, ast.FunctionDef)
        *body, end = function.body
        if missing := {argument.arg for argument in function.args.args} - known:
            raise ValueError(f"{step.__name__} takes {', '.join(sorted(missing))}, which no step before it gives")
        known |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        bodies += source.splitlines()[body[0].lineno - 1 : end.lineno - 1]
    outputs = ", ".join(gives) if len(gives) > 1 else f"({gives[0]},)"
    lines = [f"def {steps[-1].__name__}({', '.join(takes)}):", *bodies, f"    return {outputs}"]
    return _from_text("\n".join(lines) + "\n", steps[-1].__name__)


@lru_cache(maxsize=16384)  # every pair of a problem set's bugs, a few kilobytes each
def edited(model: Callable[..., Arrays], edits: tuple[tuple[str, str], ...]) -> Callable[..., Arrays]:
    """The model with these edits, text and text instead, made in its text all at once.

    Raises:
        ValueError: if a text that is to be edited does not stand there just once.
    """
    text, replacement = _text(model), dict(edits)
    for find in replacement:
        if text.count(find) != 1:
            raise ValueError(f"{model.__name__}: a bug edits {find!r}, which stands there {text.count(find)} times")
    if replacement:
        longest_first = sorted(replacement, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), lambda match: replacement[match[0]], text)
    return _from_text(text, model.__name__)


@lru_cache(maxsize=256)
def _text(model: Callable[..., Arrays]) -> str:
    """The text that a joined model was made from, or any other's source."""
    return getattr(model, "text", None) or textwrap.dedent(inspect.getsource(model))


def _from_text(text: str, name: str) -> Callable[..., Arrays]:
    scope: dict[str, Any] = {"np": np}
    exec(compile(text, f"<{name}>", "exec"), scope)
    scope[name].text = text  # no file holds it: `inspect` would not find it
    return scope[name]
