"""Grading a class and writing its feedback: ours beside stock nbgrader on the same submissions, in one run.

    python benchmarks/grading.py [--students 200] [--rounds 1] [--json FILE]

Whole commands are timed, start-up included, alternately, and their medians compared. Both write nbgrader's gradebook
and a page for every student. Stock nbgrader runs every notebook in a kernel of its own, with no sandbox, once as one
process and once as two, each with half of the class; ours always sandboxes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
SET = "ps1_rnn"
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def make_class(folder: Path, students: int, stock: bool) -> Path:
    """A course root where every student handed in the same right answers."""
    spec = importlib.util.spec_from_file_location("sample_class", ROOT / "autograder/course/sample_class.py")
    assert spec
    assert spec.loader
    sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sample)
    shutil.copytree(ROOT / "autograder/course/source", folder / "source")
    shutil.copytree(ROOT / "autograder/course/release", folder / "release")
    plain = 'c = get_config()\nc.CourseDirectory.course_id = "stock"\n'
    ours = (ROOT / "autograder/course/nbgrader_config.py").read_text()
    (folder / "nbgrader_config.py").write_text(plain if stock else ours)
    for student in range(students):
        sample._hand_in(folder, f"student_{student:04}", sample._answered(*sample.RIGHT["ada_plain"]))
    return folder


def seconds(chains: list[list[list[str]]], folder: Path) -> float:
    """Wall clock until every chain is done: the commands of a chain one after the other, the chains side by side."""
    start = time.perf_counter()
    with ThreadPoolExecutor(len(chains)) as pool:
        list(pool.map(lambda chain: [run(command, folder) for command in chain], chains))
    return time.perf_counter() - start


def run(command: list[str], folder: Path) -> None:
    """One command, which must succeed."""
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")


def stock_chain(students: str) -> list[list[str]]:
    """nbgrader's two commands, for the students of a pattern."""
    return [
        ["nbgrader", command, SET, "--force", f"--student={students}"] for command in ("autograde", "generate_feedback")
    ]


def our_chain(*options: str) -> list[list[str]]:
    """Our two commands."""
    ours = str(BIN / "autograder")
    return [[ours, "grade", SET, "--course", ".", "--force", *options], [ours, "feedback", SET, "--course", "."]]


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    contenders = {
        "stock nbgrader": [stock_chain("*")],
        "stock nbgrader, two processes": [stock_chain("*[02468]"), stock_chain("*[13579]")],
        "autograder, 1 worker": [our_chain("--workers", "1")],
        "autograder, a worker a core": [our_chain()],
    }
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as temporary:
        stock = make_class(Path(temporary, "stock"), options.students, stock=True)
        ours = make_class(Path(temporary, "ours"), options.students, stock=False)
        run(["nbgrader", "generate_assignment", SET, "--force"], stock)
        run([*our_chain("--student", "student_0000")[0]], ours)  # builds the grading environment, once a machine
        for turn in range(options.rounds):
            for name, chains in contenders.items():
                taken[name].append(seconds(chains, stock if name.startswith("stock") else ours))
                print(f"round {turn + 1}: {name}: {taken[name][-1]:.1f} s", flush=True)
    median = {name: statistics.median(times) for name, times in taken.items()}
    once, twice = median["stock nbgrader"], median["stock nbgrader, two processes"]
    print(f"\n{options.students} submissions, gradebook and feedback included, {os.cpu_count()} cores")
    print(f"  {'':30} {'':9} over stock once, and as two processes")
    for name, time_taken in median.items():
        print(f"  {name:<30} {time_taken:7.1f} s {once / time_taken:7.1f} x {twice / time_taken:7.1f} x")
    if options.json:
        report = {"students": options.students, "seconds": taken, "ratio": {n: once / t for n, t in median.items()}}
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
