"""Grading a class: `autograder grade` beside stock `nbgrader autograde` on the same submissions, in one run.

    python benchmarks/grading.py [--students 30] [--rounds 3] [--json FILE]

Whole commands are timed, start-up included, alternately, and their medians compared. Both write nbgrader's gradebook.
Stock nbgrader runs every notebook in a kernel of its own, with no sandbox; ours always sandboxes.
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


def seconds(command: list[str], folder: Path) -> float:
    """Wall clock of one whole command."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - start


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    grade = [str(BIN / "autograder"), "grade", SET, "--course", ".", "--force"]
    commands = {
        "stock nbgrader autograde": ["nbgrader", "autograde", SET, "--force"],
        "autograder, 1 worker": [*grade, "--workers", "1"],
        "autograder, a worker a core": grade,
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as temporary:
        stock = make_class(Path(temporary, "stock"), options.students, stock=True)
        ours = make_class(Path(temporary, "ours"), options.students, stock=False)
        seconds(["nbgrader", "generate_assignment", SET, "--force"], stock)
        seconds([*grade, "--student", "student_0000"], ours)  # builds the grading environment, once a machine
        for turn in range(options.rounds):
            for name, command in commands.items():
                taken[name].append(seconds(command, stock if name.startswith("stock") else ours))
                print(f"round {turn + 1}: {name}: {taken[name][-1]:.1f} s", flush=True)
    median = {name: statistics.median(times) for name, times in taken.items()}
    peer = median["stock nbgrader autograde"]
    print(f"\n{options.students} submissions, median of {options.rounds} whole runs, {os.cpu_count()} cores")
    for name, time_taken in median.items():
        print(f"  {name:<30} {time_taken:7.1f} s   {peer / time_taken:5.1f} x")
    if options.json:
        report = {"students": options.students, "seconds": taken, "ratio": {n: peer / t for n, t in median.items()}}
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
