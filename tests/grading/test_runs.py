"""A grading run under accidents: names, faults of ours, dead workers, lost files, second thoughts."""

import json
import os
import shutil
import sqlite3

import pytest
from nbgrader.api import Gradebook

from autograder import cli, grade, pool
from autograder.course_files import Course
from autograder.record import Book
from autograder.run import Limits

pytestmark = pytest.mark.sandbox
SET = "ps1_rnn"


@pytest.fixture(scope="module")
def opened(root, tmp_path_factory):
    """A course whose gradebook exists: making one takes nbgrader seconds."""
    course = tmp_path_factory.mktemp("opened")
    for name in ("source", "release"):
        shutil.copytree(root / "autograder/course" / name / SET, course / name / SET)
    shutil.copy(root / "autograder/course/nbgrader_config.py", course)
    with Book(Course.at(course), SET):
        return course


@pytest.fixture
def course(opened, tmp_path):
    return shutil.copytree(opened, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def hand_in(course, sample_class):
    def hand_in(student, answers):
        kinds = {"right": sample_class.RIGHT["ada_plain"], "wrong": sample_class.WRONG["gil_transposed"][0]}
        sample_class._hand_in(course, student, sample_class._answered(*kinds[answers]))

    return hand_in


def run(course, command, *more):
    arguments = [command, SET, "--course", str(course), *more]
    assert cli.main(arguments) == 0


def points(course, *more):
    path = course / "records.json"
    run(course, "grade", "--json", str(path), *more)
    return {record["student"]: record["points"] for record in json.loads(path.read_text())}


def shown(course, student):
    run(course, "feedback")
    page = (course / f"feedback/{student}/{SET}/{SET}.html").read_text()
    return page[page.index("<strong>") + 8 : page.index(" points</strong>")]


def test_handing_in_an_earlier_version_again_is_recorded_as_such(course, hand_in):
    for answers, expected in (("right", 17), ("wrong", 13), ("right", 17)):
        hand_in("ada", answers)
        assert points(course) == {"ada": expected}
        assert shown(course, "ada") == f"{expected} of 20"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[31mred", "ün ïcode", "-rf", "{{7*7}}", "<b>bold"])
def test_no_name_of_a_folder_stops_the_run_or_reaches_the_terminal_raw(course, hand_in, capsys, name):
    hand_in(name, "right")
    hand_in("zoe", "right")
    assert list(points(course).values()) == [17, 17]
    run(course, "feedback")
    run(course, "report")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "two\nlines" not in printed


def test_what_we_may_not_read_is_nobodys_zero_and_the_others_are_graded(course, hand_in, monkeypatch, capsys):
    """Root may read everything: another user is stood in for."""
    hand_in("ada", "right")
    hand_in("zoe", "right")
    names, opened = os.listdir, os.open

    def refused(path):
        if "submitted/ada" in str(path):
            raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", lambda path=".": refused(path) or names(path))
        patched.setattr(os, "open", lambda path, *a, **more: refused(path) or opened(path, *a, **more))
        assert cli.main(["grade", SET, "--course", str(course), "--json", str(course / "records.json")]) == 1
    ada, zoe = json.loads((course / "records.json").read_text())
    assert (ada["points"], ada["ended"], zoe["points"]) == (0, "grader failed", 17)
    assert "Permission denied" in ada["detail"]
    assert "their 0 is ours" in capsys.readouterr().out
    assert points(course) == {"ada": 17, "zoe": 17}


def test_a_name_that_is_not_utf8_is_graded_under_its_escape(course, hand_in):
    hand_in("zoe", "right")
    os.rename(os.fsencode(course / "submitted/zoe"), os.fsencode(course / "submitted") + b"/zo\xeb")
    ((student, earned),) = points(course).items()
    assert (student.isascii(), student[:2], earned) == (True, "zo", 17)


def test_a_hidden_folder_is_nobodys(course, hand_in):
    hand_in("ada", "right")
    hand_in(".ipynb_checkpoints", "right")
    assert points(course) == {"ada": 17}


def test_a_linked_student_is_not_paid_with_anothers_work(course, hand_in):
    hand_in("ada", "right")
    (course / "submitted/bob").symlink_to(course / "submitted/ada")
    assert points(course) == {"ada": 17, "bob": 0}


def test_a_second_run_at_the_same_time_is_refused(course, hand_in, capsys):
    hand_in("ada", "right")
    with Course.at(course).locked(SET):
        assert cli.main(["grade", SET, "--course", str(course)]) == 2
    assert "Another grading run" in capsys.readouterr().err


def test_a_lost_gradebook_is_filled_again(course, hand_in):
    hand_in("ada", "right")
    points(course)
    (course / "gradebook.db").unlink()
    assert points(course) == {"ada": 17}
    assert shown(course, "ada") == "17 of 20"


def test_feedback_leaves_out_who_is_gone_and_says_so(course, hand_in, capsys):
    for student in ("ada", "zoe"):
        hand_in(student, "right")
    points(course)
    shutil.rmtree(course / "autograded/zoe")
    run(course, "feedback")
    assert "No page for zoe" in capsys.readouterr().out
    assert (course / f"feedback/ada/{SET}/{SET}.html").is_file()


def test_what_cannot_be_written_down_is_recorded_as_our_fault(course, hand_in, monkeypatch):
    hand_in("ada", "right")
    whole = grade.Book.write

    def write(book, student, graded, handed_in):
        if graded.ended == "finished":
            raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        return whole(book, student, graded, handed_in)

    monkeypatch.setattr(grade.Book, "write", write)
    path = course / "records.json"
    assert cli.main(["grade", SET, "--course", str(course), "--json", str(path)]) == 1
    (record,) = json.loads(path.read_text())
    assert (record["points"], record["ended"]) == (0, "grader failed")
    monkeypatch.undo()
    assert points(course) == {"ada": 17}  # tried again, though nothing has changed


def die_or_grade(job, raw, real=pool.grade_one):
    """Stands in for grading: at one submission the worker ends, as where the system has no memory left."""
    if raw == b"die":
        os._exit(9)
    return real(job, raw)


def test_a_worker_that_dies_costs_only_its_own_submission(course, sample_class, monkeypatch):
    job = pool.Job(SET, Course.at(course).released(SET), 1, Limits(), True)
    right = json.dumps(sample_class._answered(*sample_class.RIGHT["ada_plain"])).encode()
    monkeypatch.setattr(pool, "grade_one", die_or_grade)
    monkeypatch.setattr(pool, "get_context", lambda method: __import__("multiprocessing").get_context("fork"))
    graded = dict(pool.grade_many(job, [("ada", right), ("bad", b"die"), ("zoe", right)], workers=1))
    assert {student: result.ended for student, result in graded.items()} == {
        "ada": "finished",
        "bad": "grader failed",
        "zoe": "finished",
    }


def test_a_late_penalty_is_nbgraders_and_is_shown(course, hand_in):
    hand_in("ada", "right")
    (course / f"submitted/ada/{SET}/timestamp.txt").write_text("2026-11-02 00:00:00 UTC")
    config = course / "nbgrader_config.py"
    config.write_text(config.read_text() + "\nc.AssignLatePenalties.plugin_class = LateEverything\n")
    config.write_text(LATE + config.read_text())
    points(course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.update_or_create_assignment(SET, duedate="2026-11-01 00:00:00 UTC")
    points(course, "--force")
    assert shown(course, "ada") == "15 of 20"


LATE = """from nbgrader.plugins import BasePlugin


class LateEverything(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2


"""


def test_a_score_given_by_hand_is_shown_as_such(course, hand_in):
    hand_in("ada", "wrong")
    points(course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("rnn_forward", SET, SET, "ada")
        grade.manual_score = 6
        comment = gradebook.find_comment("why_any_length", SET, SET, "ada")
        comment.manual_comment = "**Good.**<script>1</script>"
        gradebook.db.commit()
    assert shown(course, "ada") == "11 of 20"
    page = (course / f"feedback/ada/{SET}/{SET}.html").read_text()
    assert "a person gave them, the machine had given 8" in page
    assert "<strong>Good.</strong>" in page
    assert "<script" not in page


def test_a_gradebook_that_was_changed_behind_us_is_put_right(course, hand_in):
    """A stock run that could not read the submission, say, leaves another score."""
    hand_in("ada", "right")
    points(course)
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as gradebook:
        gradebook.find_grade("rnn_step", SET, SET, "ada").auto_score = 0
        gradebook.db.commit()
    points(course)
    assert shown(course, "ada") == "17 of 20"


def test_a_second_notebook_is_mentioned(course, hand_in):
    hand_in("ada", "right")
    folder = course / f"submitted/ada/{SET}"
    shutil.copy(folder / f"{SET}.ipynb", folder / "final.ipynb")
    points(course)
    assert "final.ipynb" in json.loads((course / "records.json").read_text())[0]["detail"]


def test_an_empty_answer_waits_for_nobody(course, sample_class):
    notebook = sample_class._answered(*sample_class.RIGHT["ada_plain"])
    sample_class._cell(notebook, "why_any_length")["source"] = ""
    sample_class._hand_in(course, "ada", notebook)
    points(course)
    shown(course, "ada")
    assert "to be read by a person" not in (course / f"feedback/ada/{SET}/{SET}.html").read_text()


def test_a_course_whose_nbgrader_is_unprotected_is_told(course, hand_in, capsys):
    hand_in("ada", "right")
    (course / "nbgrader_config.py").write_text("c = get_config()\n")
    points(course)
    assert "would run code unprotected" in capsys.readouterr().out
    assert cli.main(["doctor", "--course", str(course)]) == 1


@pytest.mark.parametrize("bad", [["--workers", "-3"], ["--cell-seconds", "nan"], ["--seed", "0"]])
def test_numbers_that_make_no_sense_are_refused(course, bad, capsys):
    with pytest.raises(SystemExit):
        cli.main(["grade", SET, "--course", str(course), *bad])
    assert "not a number above 0" in capsys.readouterr().err


def test_a_locked_gradebook_is_said_in_a_sentence(course, hand_in, capsys):
    hand_in("ada", "right")
    points(course)
    with sqlite3.connect(course / "gradebook.db", isolation_level=None) as other:
        other.execute("begin exclusive")
        assert cli.main(["grade", SET, "--course", str(course), "--force"]) == 2
    assert "Does another program hold it?" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "yesterday", "\x00" * 50, "2026-13-45 99:99:99 UTC", "9" * 10_000])
def test_a_timestamp_that_is_none_stops_nothing(course, hand_in, text):
    hand_in("ada", "right")
    (course / f"submitted/ada/{SET}/timestamp.txt").write_text(text)
    assert points(course) == {"ada": 17}


def test_a_file_name_that_is_not_utf8_beside_the_notebook_stops_nothing(course, hand_in):
    hand_in("ada", "right")
    open(os.fsencode(course / f"submitted/ada/{SET}") + b"/\xeb.ipynb", "w").close()
    assert points(course) == {"ada": 17}
    run(course, "feedback")
    run(course, "report")
