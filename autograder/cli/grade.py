"""autograder grade: grade what was handed in."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.cli.command import declare, positive
from autograder.course_files import Course, CourseError, write_atomically


def add(commands: Any) -> None:
    """Declare the command."""
    grade = declare(commands, "grade", "grade what was handed in", run)
    grade.add_argument("problem_set")
    grade.add_argument("--json", type=Path, metavar="FILE", help="write one record per student")
    grade.add_argument(
        "--student", action="append", default=[], metavar="NAME", help="grade only this one (repeatable)"
    )
    grade.add_argument(
        "--workers", type=positive(int), default=None, metavar="N", help="processes (default: one per core)"
    )
    grade.add_argument(
        "--cluster",
        default="",
        metavar="ADDRESS",
        help="grade on a Dask cluster, tls://HOST:PORT: autograder/cluster.py says how",
    )
    grade.add_argument("--force", action="store_true", help="grade again what is already graded")
    seed = grade.add_mutually_exclusive_group()
    seed.add_argument("--seed", type=positive(int), metavar="N", help="draw the inputs from this seed, now and later")
    seed.add_argument("--new-seed", action="store_true", help="draw a new secret seed")
    grade.add_argument(
        "--cell-seconds", type=positive(float), default=10, metavar="S", help="for one cell (default: 10)"
    )
    grade.add_argument(
        "--submission-seconds", type=positive(float), default=60, metavar="S", help="for all (default: 60)"
    )
    way = grade.add_mutually_exclusive_group()
    way.add_argument(
        "--kernel", action="store_true", help="run each submission in a fresh sandboxed Jupyter kernel: slower"
    )
    way.add_argument("--allow-unsandboxed", action="store_true", help="run code unprotected; stamped on every record")


def run(options: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    from tqdm import tqdm

    from autograder.grade import Options, grade, journal_path
    from autograder.pipeline import OUR_FAULT
    from autograder.record import Journal
    from autograder.run import Limits

    course = Course.at(options.course)
    if options.json:
        write_atomically(options.json, b"[]")  # a place that cannot be written to is better known before than after
    if not course.runs_ours_in_nbgrader():
        print("Note: `nbgrader autograde` in this course would run code unprotected; see `autograder doctor`.")
    how = Options(
        workers=options.workers or 0,
        cluster=options.cluster,
        seed=options.seed,
        new_seed=options.new_seed,
        force=options.force,
        limits=Limits(cell_seconds=options.cell_seconds, submission_seconds=options.submission_seconds),
        sandboxed=not options.allow_unsandboxed,
        kernel=options.kernel,
        students=tuple(options.student),
    )
    course.check_points(options.problem_set)
    total = len(how.students or course.submissions(options.problem_set))
    if not total:
        raise CourseError(
            f"Nobody handed in: expected submitted/<student>/{options.problem_set}/*.ipynb in the course. "
            f"Run: autograder collect {options.problem_set} SOURCE"
        )
    ours: list[str] = []
    graded: list[str] = []
    for record in tqdm(
        grade(course, options.problem_set, how), total=total, unit=" submissions", desc=options.problem_set
    ):
        graded.append(record["student"])
        ours += [record["student"]] if record["ended"] == OUR_FAULT else []
    journal = Journal(journal_path(course, options.problem_set))
    for student in sorted(graded):
        print(_line(journal.record(student)))
    if options.json:
        _write_records(options.json, (journal.record(student) for student in sorted(graded)))
        print(f"Records: {options.json}")
    print(f"Gradebook: {_shown(course.db_url)}   Next: autograder feedback {options.problem_set}")
    if ours:
        print(f"The grader itself failed on {', '.join(ours)}: their 0 is ours. Run again; it is always retried.")
    return int(bool(ours))


def _write_records(path: Path, records: Iterator[dict[str, Any]]) -> None:
    """One JSON list, a record at a time: a large class is never in memory whole."""
    unfinished = path.with_name(f".{path.name}.writing")
    with unfinished.open("w", encoding="utf-8") as file:
        for i, record in enumerate(records):
            file.write(",\n" if i else "[\n")
            json.dump(record, file, indent=1, ensure_ascii=False)
        file.write("\n]\n")
    unfinished.replace(path)


def _shown(db_url: str) -> str:
    """The gradebook's address without its password."""
    return re.sub(r"(//[^:/@]*):[^@/]*@", r"\1:***@", db_url)


def _line(record: dict) -> str:
    score = f"{record['points']:g}/{record['max_points']:g}"
    ended = "" if record["ended"] == "finished" else f"  [{record['ended']}]"
    stamp = "" if record["sandboxed"] else "  NOT SANDBOXED"
    return f"  {record['student'][:40]:<40} {score:>7}{ended}{stamp}  {', '.join(record['diagnoses'])}"
