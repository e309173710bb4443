"""What the commands share: how one is declared, and numbers on a command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEFAULT_COURSE = Path("autograder/course")


def declare(
    commands: Any, name: str, explanation: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    """A command with its help, its `--course` and what runs it."""
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=explanation, description=f"{explanation[0].upper()}{explanation[1:]}."
    )
    command.add_argument(
        "--course", type=Path, default=DEFAULT_COURSE, metavar="DIR", help=f"default: {DEFAULT_COURSE}"
    )
    command.set_defaults(run=run)
    return command


def positive(kind: type) -> Callable[[str], float]:
    """A number above 0, for argparse."""

    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
        return value

    number.__name__ = f"positive {kind.__name__}"
    return number
