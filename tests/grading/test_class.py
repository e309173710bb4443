"""The sample class, graded for real: nothing undeserved, nothing lost, every mistake named, the run never stops."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import cli
from autograder.course_files import Course
from autograder.grade import journal_path
from autograder.questions import find

pytestmark = pytest.mark.sandbox
SET = "ps1_rnn"


def run(*arguments):
    assert cli.main([str(argument) for argument in arguments]) == 0


def grade(course, *more):
    path = course / "records.json"
    run("grade", SET, "--course", course, "--json", path, "--submission-seconds", 15, *more)
    return {record["student"]: record for record in json.loads(path.read_text())}


@pytest.fixture(scope="module")
def course(sample_class, tmp_path_factory):
    root = tmp_path_factory.mktemp("course")
    sample_class.make(root)
    return root


@pytest.fixture(scope="module")
def records(course):
    return grade(course, "--seed", 7)


@pytest.fixture(scope="module")
def pages(course, records):
    run("feedback", SET, "--course", course)
    run("report", SET, "--course", course)
    return course


def test_everybody_is_graded_with_a_reason(records, course):
    assert set(records) == {folder.name for folder in (course / "submitted").iterdir()}
    assert len(records) >= 16
    for record in records.values():
        assert record["sandboxed"]
        assert record["detail"]
        for entry in record["questions"].values():
            assert entry["points"] == entry["max_points"] or entry["message"]


def test_no_correct_solution_loses_a_point(records, sample_class):
    for student in sample_class.EXPECTED_FULL:
        assert records[student]["points"] == records[student]["max_points"], records[student]


def test_no_attack_earns_a_point(records, sample_class):
    for student in sample_class.EXPECTED_NOTHING:
        assert records[student]["points"] == 0, records[student]


def test_every_mistake_is_named_and_is_paid_for_once(records, sample_class):
    for student, bugs in sample_class.EXPECTED_BUGS.items():
        for name, entry in records[student]["questions"].items():
            assert entry["bugs"] == bugs.get(name, []), (student, name)
            made = set(bugs.get(name, []))
            followed = made and any(made <= set(bugs.get(before, [])) for before in find(name).builds_on)
            assert (entry["points"] < entry["max_points"]) == bool(name in bugs and not followed), (student, name)


def test_an_unknown_mistake_is_described_not_guessed(records):
    entry = records["rosa_unknown_mistake"]["questions"]["rnn_step"]
    assert "entries differ" in entry["message"]


def test_hostile_code_saw_nothing_of_the_course(course, records):
    notebook = (course / "autograded/evil_reads_the_course" / SET / f"{SET}.ipynb").read_text()
    assert "SQLite format" not in notebook
    assert str(course) not in notebook
    assert "No module named 'rnnlib'" in notebook


def test_the_gradebook_holds_the_same_scores(course, records):
    with sqlite3.connect(course / "gradebook.db") as db:
        rows = db.execute(
            "select s.student_id, b.name, g.auto_score, g.needs_manual_grade from grade g"
            " join base_cell b on g.cell_id = b.id join submitted_notebook n on g.notebook_id = n.id"
            " join submitted_assignment s on n.assignment_id = s.id"
        ).fetchall()
    scores = {(student, cell): score for student, cell, score, _ in rows}
    for student, record in records.items():
        for question, entry in record["questions"].items():
            assert scores[student, question] == entry["points"]
    waiting = {student for student, cell, _, needs in rows if cell == "why_any_length" and needs}
    assert "ada_plain" in waiting
    assert {cell for _, cell, _, needs in rows if needs} == {"why_any_length"}


def test_a_second_run_repeats_nothing_and_says_the_same(course, records):
    before = journal_path(Course.at(course), SET).read_bytes()
    assert grade(course) == records
    assert journal_path(Course.at(course), SET).read_bytes() == before


def test_the_same_seed_gives_the_same_scores(course, records):
    students = ["ada_plain", "gil_transposed", "nora_overflow"]
    again = grade(course, "--force", *(word for student in students for word in ("--student", student)))
    assert again == {student: records[student] for student in students}


def test_a_run_that_was_killed_goes_on_where_it_stopped(course, records, tmp_path):
    """Kill leaves a cut line in the journal; what is whole counts, the rest is graded again."""
    copied = tmp_path / "course"
    shutil.copytree(course, copied, symlinks=True)
    path = journal_path(Course.at(copied), SET)
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    cut = next(line for line in lines if b'"student": "kim_batch_first"' in line)
    whole = [line for line in lines if line != cut]
    path.write_bytes(b"\n".join([*whole, cut[:-30]]))
    assert grade(copied) == records
    *before, last = [line for line in path.read_bytes().split(b"\n") if line]
    assert before == [*whole, cut[:-30]]
    assert json.loads(last)["record"] == json.loads(cut)["record"]


def test_a_changed_submission_is_graded_again(course, records, tmp_path, sample_class):
    copied = tmp_path / "course"
    shutil.copytree(course, copied, symlinks=True)
    sample_class._hand_in(copied, "gil_transposed", sample_class._answered(*sample_class.RIGHT["ada_plain"]))
    assert grade(copied, "--student", "gil_transposed")["gil_transposed"]["points"] == 17


def test_a_persons_score_survives_a_regrade(course, records, tmp_path):
    copied = tmp_path / "course"
    shutil.copytree(course, copied, symlinks=True)
    with sqlite3.connect(copied / "gradebook.db") as db:
        db.execute(
            "update grade set manual_score = 3, needs_manual_grade = 0 where cell_id in"
            " (select id from base_cell where name = 'why_any_length')"
        )
    grade(copied, "--student", "ada_plain", "--force")
    run("feedback", SET, "--course", copied)
    assert "<strong>20 of 20 points</strong>" in (copied / f"feedback/ada_plain/{SET}/{SET}.html").read_text()


def test_feedback_names_the_mistake_and_shows_no_solution(pages):
    page = (pages / f"feedback/gil_transposed/{SET}/{SET}.html").read_text()
    assert "W_hh is used without a transpose" in page
    assert "W_hh.T" not in page  # the reference transposes; gil did not


def test_feedback_runs_nothing_in_its_readers_browser(pages):
    page = (pages / f"feedback/evil_scripts_the_reader/{SET}/{SET}.html").read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page
    assert "default-src 'none'" in page


def test_the_class_report_ranks_mistakes_by_students(pages):
    page = (pages / f"report/{SET}.html").read_text().replace("\u200b", "")
    assert page.index("recurrent_weights_not_transposed") < page.index("state_never_updated")
    assert f"{len(list((pages / 'submitted').iterdir()))} submissions" in page


def test_stock_nbgrader_autograde_gives_the_same_scores(course, records, tmp_path):
    """In a course root of its own: the configuration alone carries our ingest, sandbox and judge into nbgrader."""
    copied = tmp_path / "course"
    students = ["ada_plain", "gil_transposed", "fay_own_helpers", "evil_edits_the_notebook", "evil_exits"]
    for folder in ("source", "release", "private"):
        shutil.copytree(course / folder, copied / folder)
    shutil.copy(course / "nbgrader_config.py", copied)
    for student in students:
        shutil.copytree(course / "submitted" / student, copied / "submitted" / student)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in (["generate_assignment", SET, "--force"], ["autograde", SET]):
        done = subprocess.run(["nbgrader", *command], cwd=copied, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    with sqlite3.connect(copied / "gradebook.db") as db:
        rows = db.execute(
            "select s.student_id, b.name, g.auto_score from grade g join base_cell b on g.cell_id = b.id"
            " join submitted_notebook n on g.notebook_id = n.id join submitted_assignment s on n.assignment_id = s.id"
        ).fetchall()
    scores = {(student, cell): score for student, cell, score in rows}
    for student in students:
        for question, entry in records[student]["questions"].items():
            assert scores[student, question] == entry["points"], (student, question)
