"""The instructor's command line: release, grade, feedback, report, doctor."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from autograder.course_files import Course, CourseError, write_atomically

DEFAULT_COURSE = Path("autograder/course")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the process's exit code."""
    options = _parser().parse_args(arguments)
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
        return _refuse(f'{error}. The grader needs its extra: pip install "rnn-notebooks[grade]"')
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="autograder", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    release = _command(commands, "release", "make the student version of a problem set", _release)
    release.add_argument("problem_set")

    grade = _command(commands, "grade", "grade what was handed in", _grade)
    grade.add_argument("problem_set")
    grade.add_argument("--json", type=Path, metavar="FILE", help="write one record per student")
    grade.add_argument(
        "--student", action="append", default=[], metavar="NAME", help="grade only this one (repeatable)"
    )
    grade.add_argument(
        "--workers", type=_positive(int), default=None, metavar="N", help="processes (default: one per core)"
    )
    grade.add_argument("--force", action="store_true", help="grade again what is already graded")
    seed = grade.add_mutually_exclusive_group()
    seed.add_argument("--seed", type=_positive(int), metavar="N", help="draw the inputs from this seed, now and later")
    seed.add_argument("--new-seed", action="store_true", help="draw a new secret seed")
    grade.add_argument(
        "--cell-seconds", type=_positive(float), default=10, metavar="S", help="for one cell (default: 10)"
    )
    grade.add_argument(
        "--submission-seconds", type=_positive(float), default=60, metavar="S", help="for all (default: 60)"
    )
    grade.add_argument("--allow-unsandboxed", action="store_true", help="run code unprotected; stamped on every record")

    feedback = _command(commands, "feedback", "write every student's feedback page", _feedback)
    feedback.add_argument("problem_set")

    report = _command(commands, "report", "write the class report", _report)
    report.add_argument("problem_set")

    _command(commands, "doctor", "check that grading can work here", _doctor)
    return parser


def _positive(kind: type) -> Callable[[str], float]:
    """A number above 0, for argparse."""

    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
        return value

    number.__name__ = f"positive {kind.__name__}"
    return number


def _command(commands, name, explanation, run) -> argparse.ArgumentParser:  # type: ignore[no-untyped-def]
    command = commands.add_parser(name, help=explanation, description=explanation.capitalize() + ".")
    command.add_argument(
        "--course", type=Path, default=DEFAULT_COURSE, metavar="DIR", help=f"default: {DEFAULT_COURSE}"
    )
    command.set_defaults(run=run)
    return command


def _release(options: argparse.Namespace) -> int:
    from autograder.release import release

    print(f"Released {release(Course.at(options.course), options.problem_set)}")
    return 0


def _grade(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from autograder.grade import Options, grade
    from autograder.pipeline import OUR_FAULT
    from autograder.run import Limits

    course = Course.at(options.course)
    if options.json:
        write_atomically(options.json, b"[]")  # a place that cannot be written to is better known before than after
    if not course.runs_ours_in_nbgrader():
        print("Note: `nbgrader autograde` in this course would run code unprotected; see `autograder doctor`.")
    how = Options(
        workers=options.workers or 0,
        seed=options.seed,
        new_seed=options.new_seed,
        force=options.force,
        limits=Limits(cell_seconds=options.cell_seconds, submission_seconds=options.submission_seconds),
        sandboxed=not options.allow_unsandboxed,
        students=tuple(options.student),
    )
    course.check_points(options.problem_set)
    total = len(how.students or course.submissions(options.problem_set))
    if not total:
        raise CourseError(
            f"Nobody handed in: expected submitted/<student>/{options.problem_set}/*.ipynb in the course."
        )
    progress = tqdm(grade(course, options.problem_set, how), total=total, unit=" submissions", desc=options.problem_set)
    records = sorted(progress, key=lambda record: record["student"])
    for record in records:
        print(_line(record))
    if options.json:
        write_atomically(options.json, json.dumps(records, indent=1, ensure_ascii=False).encode())
        print(f"Records: {options.json}")
    print(f"Gradebook: {course.db_url}   Next: autograder feedback {options.problem_set}")
    ours = [record["student"] for record in records if record["ended"] == OUR_FAULT]
    if ours:
        print(f"The grader itself failed on {', '.join(ours)}: their 0 is ours. Run again; it is always retried.")
    return int(bool(ours))


def _line(record: dict) -> str:
    score = f"{record['points']:g}/{record['max_points']:g}"
    ended = "" if record["ended"] == "finished" else f"  [{record['ended']}]"
    stamp = "" if record["sandboxed"] else "  NOT SANDBOXED"
    return f"  {record['student'][:40]:<40} {score:>7}{ended}{stamp}  {', '.join(record['diagnoses'])}"


def _feedback(options: argparse.Namespace) -> int:
    from nbgrader.api import Gradebook, MissingEntry
    from tqdm import tqdm

    from autograder.report import latest_records, write_feedback

    course = Course.at(options.course)
    records = latest_records(course, options.problem_set)
    left_out = []
    with Gradebook(course.db_url, course.course_id) as gradebook:
        for student, record in tqdm(records.items(), unit="page", desc="feedback"):
            try:
                write_feedback(course, options.problem_set, record, gradebook)
            except (FileNotFoundError, MissingEntry):
                left_out.append(student)
    print(f"Feedback: {course.root / 'feedback'}/<student>/{options.problem_set}/{options.problem_set}.html")
    if left_out:
        print(
            f"No page for {', '.join(left_out)}: graded once, but no longer in the gradebook or in autograded/. "
            f"Run: autograder grade {options.problem_set}"
        )
    return 0


def _report(options: argparse.Namespace) -> int:
    from autograder.report import write_class_report

    print(f"Class report: {write_class_report(Course.at(options.course), options.problem_set)}")
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from autograder.doctor import examine

    healthy = True
    for finding in examine(options.course):
        print(f"{'ok ' if finding.ok else 'NO '} {finding.what}: {finding.detail}")
        healthy &= finding.ok
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
