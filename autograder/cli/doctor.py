"""autograder doctor: can grading work here?."""

from __future__ import annotations

import argparse
from typing import Any

from autograder.cli.command import declare


def add(commands: Any) -> None:
    """Declare the command."""
    declare(commands, "doctor", "check that grading can work here", run)


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from autograder.doctor import examine

    healthy = True
    for finding in examine(options.course):
        print(f"{'ok ' if finding.ok else 'NO '} {finding.what}: {finding.detail}")
        healthy &= finding.ok
    return 0 if healthy else 1
