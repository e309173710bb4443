"""A large class on two workers, killed once and resumed: time a submission, memory over time, journal = gradebook.

    python benchmarks/scale.py [--submissions 10000 | --quick] [--json FILE]

The class is the sample class's answers, right and wrong, each with a comment of its own, so that no two submissions
are the same file. Whole commands run as a person runs them; memory is read from /proc while they do.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
SET = "ps1_rnn"
WORKERS = 2
LOOK_SECONDS = 0.5


def make_class(folder: Path, submissions: int) -> None:
    """A course root with this many different submissions."""
    spec = importlib.util.spec_from_file_location("sample_class", ROOT / "autograder/course/sample_class.py")
    assert spec
    assert spec.loader
    sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sample)
    for name in ("source", "release"):
        shutil.copytree(ROOT / "autograder/course" / name, folder / name)
    shutil.copy(ROOT / "autograder/course/nbgrader_config.py", folder)
    own_helpers = "fay_own_helpers"  # whose answers need a cell more
    right = [answers for student, answers in sample.RIGHT.items() if student != own_helpers]
    answers = [*right, *(pair[0] for pair in sample.WRONG.values())]
    for i in range(submissions):
        step, forward, readout = answers[i % len(answers)]
        notebook = sample._answered(f"# {i}\n{step}", forward, f"# {i}\n{readout}")
        sample._hand_in(folder, f"student_{i:05}", notebook)


class Watched:
    """A command under way, what it and its workers use, and in the end its wall clock in seconds."""

    def __init__(self, arguments: list[str]) -> None:
        words = [sys.executable, "-m", "autograder.cli", *arguments]
        self._started = time.perf_counter()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (it lives as long as the command)
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=self._said, cwd=ROOT)
        self.samples: list[dict[str, float]] = []
        self.seconds = 0.0

    def look(self) -> bool:
        """Take a sample; whether the command still runs."""
        time.sleep(LOOK_SECONDS)
        if self._process.poll() is not None:
            self.seconds = time.perf_counter() - self._started
            if self._process.returncode:
                self._said.seek(0)
                raise RuntimeError(f"{self._process.args} failed:\n{self._said.read()[-2000:].decode()}")
            return False
        try:
            parent = psutil.Process(self._process.pid)
            sizes = [child.memory_info().rss for child in parent.children() if _is_worker(child)]
            sample = {"seconds": time.perf_counter() - self._started, "parent_mib": parent.memory_info().rss / 2**20}
        except psutil.Error:
            return True
        self.samples.append(sample | {"worker_mib": max(sizes, default=0) / 2**20})
        return True

    def kill(self) -> None:
        """End it as kill -9 does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def _is_worker(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())


def recorded(journal: Path) -> int:
    """How many whole lines the journal has."""
    return journal.read_bytes().count(b"}\n") if journal.is_file() else 0


def disagreements(course: Path) -> int:
    """Scores that the journal and the gradebook do not agree on, either way."""
    newest: dict[str, dict[str, Any]] = {}
    for line in (course / "journal" / f"{SET}.jsonl").read_bytes().split(b"\n"):
        try:
            record = json.loads(line)["record"]
        except ValueError:
            continue
        newest[record["student"]] = record
    said = {(s, q): entry["points"] for s, record in newest.items() for q, entry in record["questions"].items()}
    with sqlite3.connect(course / "gradebook.db") as db:
        intact = db.execute("pragma integrity_check").fetchall()
        rows = db.execute(
            "select s.student_id, b.name, g.auto_score from grade g join base_cell b on g.cell_id = b.id"
            " join submitted_notebook n on g.notebook_id = n.id join submitted_assignment s on n.assignment_id = s.id"
        ).fetchall()
    if intact != [("ok",)]:
        raise RuntimeError(f"the gradebook is damaged: {intact[:3]}")
    booked = {(student, cell): score for student, cell, score in rows if cell in {name for _, name in said}}
    return sum(said.get(key) != booked.get(key) for key in {*said, *booked})


def memory(samples: list[dict[str, float]], key: str) -> dict[str, float]:
    """Median of the second tenth and of the last tenth, and the peak, in MiB, from when workers work."""
    sizes = [sample[key] for sample in samples if sample["worker_mib"]] or [sample[key] for sample in samples]
    tenth = max(1, len(sizes) // 10)
    return {"early": median(sizes[tenth : 2 * tenth] or sizes), "late": median(sizes[-tenth:]), "peak": max(sizes)}


def measure(course: Path, submissions: int) -> dict[str, Any]:
    """Grade half, kill, resume, grade the rest, write every page."""
    journal = course / "journal" / f"{SET}.jsonl"
    grade = ["grade", SET, "--course", str(course), "--workers", str(WORKERS), "--seed", "1"]
    first = Watched(grade)
    pace: list[tuple[float, int]] = []
    while first.look() and (done := recorded(journal)) < submissions // 2:
        pace.append((time.perf_counter(), done))
    first.kill()
    kept = recorded(journal)
    print(f"killed after {kept} of {submissions}", flush=True)
    resumed = Watched(grade)
    while resumed.look():
        pace.append((time.perf_counter(), recorded(journal)))
    repeated = recorded(journal) - submissions
    again = Watched(grade)
    while again.look():
        pass
    feedback = Watched(["feedback", SET, "--course", str(course)])
    while feedback.look():
        pass
    return {
        "submissions": submissions,
        "workers": WORKERS,
        "seconds_a_submission": {"early": _pace(pace, 0.1, 0.3), "late": _pace(pace, 0.7, 0.9)},
        "grade_parent_mib": memory(resumed.samples, "parent_mib"),
        "grade_worker_mib": memory(resumed.samples, "worker_mib"),
        "feedback_mib": memory(feedback.samples, "parent_mib"),
        "feedback_seconds_a_page": feedback.seconds / submissions,
        "resume_seconds": resumed.seconds,
        "second_run_seconds": again.seconds,
        "graded_before_the_kill": kept,
        "graded_twice": repeated,
        "disagreements": disagreements(course),
        "pages": len(list((course / "feedback").glob("*/*/*.html"))),
    }


def _pace(pace: list[tuple[float, int]], start: float, end: float) -> float:
    """Seconds a submission between two shares of all that were recorded."""
    most = pace[-1][1]
    inside = [(at, done) for at, done in pace if start * most <= done <= end * most]
    return (inside[-1][0] - inside[0][0]) / max(1, inside[-1][1] - inside[0][1])


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="300 submissions")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rnn-scale-") as temporary:
        course = Path(temporary)
        make_class(course, 300 if options.quick else options.submissions)
        found = measure(course, 300 if options.quick else options.submissions)
    print(f"{found['submissions']} submissions, {WORKERS} workers, {os.cpu_count()} cores, killed once and resumed")
    for name, value in found.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        print(f"  {name:<26} " + "  ".join(f"{label} {part:.4g}".strip() for label, part in parts))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    if found["disagreements"] or found["pages"] != found["submissions"]:
        sys.exit("The journal, the gradebook and the pages do not agree.")


if __name__ == "__main__":
    main()
