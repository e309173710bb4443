"""The instructor's command line, one module a command.

Each command's module has an `add` that declares it, and imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import sys

from autograder.cli import collect, doctor, export, feedback, grade, release, report
from autograder.course_files import CourseError

COMMANDS = (release, collect, grade, feedback, report, export, doctor)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the process's exit code."""
    options = parser().parse_args(arguments)
    # jsonschema imports it if it can, for a format that no notebook has: 2.7 of the 5 s in which `grade` starts
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    try:
        return options.run(options)
    except (CourseError, KeyError) as error:
        return _refuse(error.args[0])
    except KeyboardInterrupt:
        return _refuse("stopped. What was finished is saved; run the same command to go on.")
    except OSError as error:
        return _refuse(f"{error.filename or 'a file'}: {error.strerror or error}. Nothing was recorded for it.")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("autograder", "rnnlib")):
            raise
        extra = "postgres" if error.name == "psycopg" else "grade"
        return _refuse(f'{error}. The grader needs its extra: pip install "rnn-notebooks[{extra}]"')
    except Exception as error:
        if type(error).__name__ == "SandboxUnavailable":
            return _refuse(f"{error}\nGrading refuses to run code unprotected (--allow-unsandboxed overrides).")
        if type(error).__name__ == "OperationalError":  # SQLAlchemy's, imported only where it is needed
            return _refuse(
                f"the gradebook cannot be used now ({str(error).splitlines()[0]}). Does another program hold it? "
                "What was finished is saved; run the same command to go on."
            )
        raise


def _refuse(message: str) -> int:
    print(f"autograder: {message}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(
        prog="autograder", description="Release, grade, and see what the class misunderstood."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top
