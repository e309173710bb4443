"""Exports: the columns that nbgrader, Canvas and Moodle read, the right person's points, and no formula."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin

from autograder import cli
from autograder.course_files import Course
from autograder.export import disarmed
from autograder.grade import journal_path
from autograder.record import Book, Journal

SET = "ps1_rnn"
HERE = Path(__file__).parents[2] / "autograder/course"
FORMULAS = [
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "  =1+1",
    "a;=1+1",
    "a\n=1+1",
    "＝1+1",
    "\r=1",
]


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A course with three graded students, of whom one was late, one has a comment and one a hostile name."""
    root = tmp_path_factory.mktemp("graded")
    for name in ("source", "release"):
        shutil.copytree(HERE / name, root / name)
    shutil.copy(HERE / "nbgrader_config.py", root)
    course = Course.at(root)
    with Book(course, SET) as book:
        db = book.gradebook.db
        book.gradebook.add_student("ada", first_name="Ada", last_name="Byron, Countess", email="ada@x.org")
        book.gradebook.add_student("bob", first_name="=1+1", last_name="@SUM(A1)")
        book.gradebook.add_student("absent", first_name="Never", last_name="There")
        for student, points in (("ada", 8.0), ("bob", 1 / 3), ("zoe", 0.0)):
            submitted = book._add(student)
            for grade in submitted.grades:
                grade.auto_score = points if grade.cell_id == book._graded["rnn_step"] else None
                grade.needs_manual_grade = grade.auto_score is None and student == "zoe"
            submitted.late_submission_penalty = 2.5 if student == "ada" else None
            for comment in submitted.comments:
                if student == "bob" and comment.cell_id == book._commented["why_any_length"]:
                    comment.manual_comment = "=HYPERLINK(1)<script>\nsecond line"
            db.commit()
            message = "W_hh is used without a transpose; 1 < 2." if student == "bob" else ""
            entry = {"title": "One step", "points": points, "max_points": 8.0, "message": message}
            found = {"student": student, "questions": {"rnn_step": entry}}
            Journal(journal_path(course, SET)).append("key", found, "")
    return course


@pytest.fixture
def course(graded, tmp_path):
    shutil.copytree(graded.root, tmp_path / "course")
    return tmp_path / "course"


def export(course, *more, code=0):
    to = course / "out.csv"
    assert cli.main(["export", SET, "--course", str(course), "--to", str(to), *map(str, more)]) == code
    with to.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


# ---- nbgrader ------------------------------------------------------------------------------------------------------


def test_nbgraders_table_is_nbgraders_own(course, tmp_path):
    """Same columns, same rows; ours is sorted and quotes a comma, where nbgrader's breaks the line's columns."""
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        CsvExportPlugin(to=str(tmp_path / "theirs.csv")).export(gradebook)
    theirs = (tmp_path / "theirs.csv").read_text().splitlines()
    ours = export(course)
    assert ",".join(ours[0]) == theirs[0]
    assert {",".join(row).replace("'=", "=").replace("'@", "@") for row in ours[1:]} == set(theirs[1:])
    assert [row[3] for row in ours[1:]] == ["absent", "ada", "bob", "zoe"]
    assert {len(row) for row in ours} == {11}


def test_a_gradebook_of_other_students_and_sets_can_be_narrowed(course):
    assert [row[3] for row in export(course, "--student", "zoe", "--student", "ada")[1:]] == ["ada", "zoe"]
    assert cli.main(["export", SET, "--course", str(course), "--student", "nobody"]) == 2


# ---- Canvas --------------------------------------------------------------------------------------------------------

CANVAS = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Homework (11),ps1_rnn (12),Final Score
,,,,,Manual Posting,,
    Points Possible,,,,,10,{points},(read only)
"Byron, Ada",901,u1,ada,A,5,,50
Bob,902,bob,b.b@x.org,A,,3,60
Carol,903,u3,carol,A,,,
"Student, Test",904,,f00d,A,,,
"""


def roster(course, text):
    path = course / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_canvas_gets_its_columns_ids_and_points(course, capsys):
    path = roster(course, CANVAS.format(points=20))
    table = export(course, "--format", "canvas", "--roster", path, code=1)
    assert table == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps1_rnn (12)"],
        ["    Points Possible", "", "", "", "", "20"],
        ["Byron, Ada", "901", "u1", "ada", "A", "5.5"],
        ["Bob", "902", "bob", "b.b@x.org", "A", "0.33333"],
        ["Carol", "903", "u3", "carol", "A", ""],
        ["Student, Test", "904", "", "f00d", "A", ""],
    ]
    said = capsys.readouterr().out
    assert "Not on the roster, and left out: zoe." in said
    assert "1 submissions wait for a person's score" in said


def test_canvas_without_a_roster_gets_logins(course):
    table = export(course, "--format", "canvas")
    assert table[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", SET]
    assert table[2:] == [
        ["Byron, Countess, Ada", "", "", "ada", "", "5.5"],
        ["'@SUM(A1), =1+1", "", "", "bob", "", "0.33333"],
        ["zoe", "", "", "zoe", "", "0"],
    ]


def test_a_column_of_canvas_can_be_named_and_must_be_there(course, capsys):
    renamed = roster(course, CANVAS.format(points=20).replace("ps1_rnn (12)", "First steps (12)"))
    for column in ("First steps", "First steps (12)"):
        table = export(course, "--format", "canvas", "--roster", renamed, "--column", column, code=1)
        assert table[0][-1] == "First steps (12)"
    path = roster(course, CANVAS.format(points=20))
    more = ["--format", "canvas", "--roster", str(path)]
    assert cli.main(["export", SET, "--course", str(course), *more, "--column", "Exam"]) == 2
    assert "Homework (11), ps1_rnn (12)" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["canvas", "moodle"])
def test_grades_on_another_scale_are_refused(course, capsys, given):
    text = {"canvas": CANVAS.format(points=100), "moodle": MOODLE.replace("20.00", "100.00")}[given]
    to = course / "out.csv"
    more = ["--format", given, "--roster", str(roster(course, text)), "--to", str(to)]
    assert cli.main(["export", SET, "--course", str(course), *more]) == 2
    assert "the grades would mean something else" in capsys.readouterr().err
    assert not to.exists()


def test_two_students_of_the_gradebook_are_never_one_of_the_roster(course, capsys):
    text = CANVAS.format(points=20).replace("902,bob,b.b@x.org", "zoe,bob,b.b@x.org")
    more = ["--format", "canvas", "--roster", str(roster(course, text))]
    assert cli.main(["export", SET, "--course", str(course), *more]) == 2
    assert "one person on the roster" in capsys.readouterr().err


def test_an_id_that_two_lines_share_is_nobodys(course):
    text = CANVAS.format(points=20).replace("903,u3,carol", "903,u3,ada")
    table = export(course, "--format", "canvas", "--roster", roster(course, text), code=1)
    assert [row[-1] for row in table[2:]] == ["", "0.33333", "", ""]


# ---- Moodle --------------------------------------------------------------------------------------------------------

MOODLE = """Identifier,Full name,ID number,Email address,Status,Grade,Maximum Grade,Grade can be changed,\
Last modified (submission),Last modified (grade),Feedback comments
Participant 71,Ada Byron,,ada,Submitted for grading,,20.00,Yes,"Monday, 2 November 2026, 1:00 PM",-,
Participant 72,=cmd|calc,bob,b@x.org,Submitted for grading,,20.00,Yes,-,-,
Participant 73,Carol,c,c@x.org,No submission,4,20.00,Yes,-,-,as it was
"""


def test_moodles_worksheet_comes_back_filled_in_and_otherwise_as_it_was(course):
    path = roster(course, MOODLE)
    table = export(course, "--format", "moodle", "--roster", path, code=1)
    with path.open(newline="") as file:
        given = list(csv.reader(file))
    assert table[0] == given[0]
    grade, feedback, name = given[0].index("Grade"), given[0].index("Feedback comments"), given[0].index("Full name")
    assert [row[grade] for row in table[1:]] == ["5.5", "0.33333", "4"]
    assert table[3] == given[3]
    assert table[2][name] == "'=cmd|calc"
    for ours, theirs in zip(table, given, strict=True):
        changed = {i for i, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]}
        assert changed <= {grade, feedback, name}
    assert table[1][feedback].endswith("Handed in late: 2.5 points off.")
    said = table[2][feedback]
    assert said.startswith("One step: 0.333333 points. W_hh is used without a transpose; 1 &lt; 2.<br>")
    assert "why_any_length: =HYPERLINK(1)&lt;script&gt;<br>second line" in said


def test_moodle_without_a_worksheet_has_its_columns(course):
    table = export(course, "--format", "moodle")
    assert table[0] == [
        "Identifier",
        "Full name",
        "Email address",
        "Status",
        "Grade",
        "Maximum Grade",
        "Feedback comments",
    ]
    assert [row[:2] + row[4:6] for row in table[1:]] == [
        ["ada", "Ada Byron, Countess", "5.5", "20"],
        ["bob", "'=1+1 @SUM(A1)", "0.33333", "20"],
        ["zoe", "zoe", "0", "20"],
    ]


# ---- all -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_a_formula(text):
    for part in disarmed(text).replace(";", "\n").replace("\r", "\n").split("\n"):
        assert part.strip()[:1] not in {"=", "+", "-", "@", "＝"}


@pytest.mark.parametrize("text", ["", "-", "-1.5", "+3", "ada", "a=b", "a - b", "x@y.org", "5.5", "ünï; ok"])
def test_a_harmless_text_stays(text):
    assert disarmed(text) == text


@pytest.mark.parametrize("exporter", ["Nbgrader", "Canvas", "Moodle"])
def test_nbgrader_export_runs_our_exporters(course, exporter):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    words = [sys.executable, "-m", "nbgrader", "export", f"--exporter=autograder.export.{exporter}", "--to=plugin.csv"]
    done = subprocess.run(
        [*words, f"--assignment=['{SET}']"], cwd=course, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with (course / "plugin.csv").open(newline="") as file:
        assert list(csv.reader(file)) == export(course, "--format", exporter.lower())


def test_what_is_no_roster_is_said(course, capsys):
    for given in ("canvas", "moodle"):
        more = ["--format", given, "--roster", str(roster(course, "a,b\n1,2\n"))]
        assert cli.main(["export", SET, "--course", str(course), *more]) == 2
        assert "has no column" in capsys.readouterr().err
    assert cli.main(["export", "ps9_none", "--course", str(course), "--format", "canvas"]) == 2
    assert "not in the gradebook" in capsys.readouterr().err


def test_a_class_of_thousands_takes_the_same_few_queries(course):
    from sqlalchemy import event

    from autograder.export import rows

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        asked = []
        event.listen(gradebook.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
        assert len(rows(gradebook, SET)) == 4
        assert len(asked) == 3
