"""The record: what a kill leaves, what a regrade keeps, and that every gradebook says the same."""

import csv
import glob
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades

from autograder import cli, pipeline, pool, record
from autograder.course_files import Course, CourseError
from autograder.grade import Options, grade, journal_path
from autograder.questions import questions_of
from autograder.record import Book, Journal

SET = "ps1_rnn"
CRASHES = ("nothing yet", "notebook written", "transaction open", "committed", "journal line half written", "recorded")


# ---- grading without a sandbox: a submission says itself how many of its questions are right -----------------------


def graded(right, essay="mine"):
    """A result in which the first `right` questions have all their points."""
    released, questions = Course.at(COURSE).released(SET), questions_of(SET)
    bare = pipeline.ungradable("Every cell ran.", released, questions)
    verdicts = []
    for i, verdict in enumerate(bare.verdicts):
        parts = tuple(replace(part, points=part.max_points * (i < right)) for part in verdict.parts)
        verdicts.append(replace(verdict, parts=parts))
    pipeline._show(bare.notebook, {verdict.question: verdict for verdict in verdicts})
    for cell in bare.notebook["cells"]:
        if essay and cell["metadata"].get("nbgrader", {}).get("grade_id") == "why_any_length":
            cell["source"] = essay
    return replace(bare, verdicts=tuple(verdicts), ended="finished")


COURSE = Path(__file__).parents[2] / "autograder/course"


def said(job, submissions, workers):
    for student, raw in submissions:
        yield student, graded(json.loads(raw)["right"])


@pytest.fixture(autouse=True)
def without_sandbox(request, monkeypatch):
    if not request.node.get_closest_marker("sandbox"):
        monkeypatch.setattr(pool, "grade_many", said)


def course_at(root):
    for name in ("source", "release"):
        shutil.copytree(COURSE / name, root / name)
    shutil.copy(COURSE / "nbgrader_config.py", root)
    return Course.at(root)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A course whose gradebook exists: making one takes nbgrader seconds."""
    course = course_at(tmp_path_factory.mktemp("opened"))
    with Book(course, SET):
        return course


@pytest.fixture
def course(opened, tmp_path):
    shutil.copytree(opened.root, tmp_path / "course")
    return Course.at(tmp_path / "course")


def hand_in(course, student, right, when=None):
    folder = course.root / "submitted" / student / SET
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{SET}.ipynb").write_text(json.dumps({"right": right}))
    if when:
        (folder / "timestamp.txt").write_text(when)


def run(course, **options):
    return sorted(grade(course, SET, Options(sandboxed=False, seed=1, **options)), key=lambda one: one["student"])


def rows(course):
    """What is exported, and what a person adds to it."""
    to = course.root / "rows.csv"
    assert cli.main(["export", SET, "--course", str(course.root), "--to", str(to)]) == 0
    with to.open() as file:
        return list(csv.DictReader(file))


def in_gradebook(course):
    with Gradebook(course.db_url) as gradebook:
        return {
            (submission.student_id, grade.name): (grade.auto_score, grade.needs_manual_grade)
            for submission in gradebook.find_assignment(SET).submissions
            for book in submission.notebooks
            for grade in book.grades
        }


def notebooks(course):
    return {path.parts[-3]: path.read_bytes() for path in (course.root / "autograded").rglob("*.ipynb")}


# ---- a kill at any moment ------------------------------------------------------------------------------------------


def die_at(moment, student, monkeypatch):
    """Let the process end, as by kill -9, at this moment of this student's record."""
    whole = {
        "write_atomically": record.write_atomically,
        "_comment": record._comment,
        "write": Book.write,
        "append": Journal.append,
    }

    def written(path, content, **private):
        is_it = student in path.parts
        if is_it and moment == "nothing yet":
            os._exit(9)
        whole["write_atomically"](path, content, **private)
        if is_it and moment == "notebook written":
            os._exit(9)

    def write(book, who, *more):
        if who == student and moment == "transaction open":
            penalise = book._penalise
            book._penalise = lambda *a: (penalise(*a), book._db.flush(), os._exit(9))
        digest = whole["write"](book, who, *more)
        if who == student and moment == "committed":
            os._exit(9)
        return digest

    def append(journal, key, entry, notebook, *seconds):
        if entry["student"] == student and moment == "journal line half written":
            with journal.path.open("ab") as file:
                file.write(b"\n" + json.dumps({"key": key, "notebook": notebook, "record": entry}).encode()[:-40])
            os._exit(9)
        whole["append"](journal, key, entry, notebook, *seconds)
        if entry["student"] == student and moment == "recorded":
            os._exit(9)

    monkeypatch.setattr(record, "write_atomically", written)
    monkeypatch.setattr(Book, "write", write)
    monkeypatch.setattr(Journal, "append", append)


def killed(course, moment, student, monkeypatch):
    child = os.fork()
    if child == 0:
        try:
            die_at(moment, student, monkeypatch)
            run(course)
        finally:
            os._exit(1)  # whatever happens: a child that went on would run the rest of the tests
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_at_any_moment_changes_nothing_of_what_is_recorded(course, opened, tmp_path, monkeypatch):
    shutil.copytree(opened.root, tmp_path / "whole")
    whole = Course.at(tmp_path / "whole")
    for i in range(len(CRASHES)):
        for each in (course, whole):
            hand_in(each, f"student_{i}", i % 4)
    expected = run(whole)
    for i, moment in enumerate(CRASHES):
        killed(course, moment, f"student_{i}", monkeypatch)
        with sqlite3.connect(course.root / "gradebook.db") as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert run(course) == expected
    assert list(Journal(journal_path(course, SET)).records.values()) == expected
    assert rows(course) == rows(whole)
    assert in_gradebook(course) == in_gradebook(whole)
    assert notebooks(course) == notebooks(whole)


@pytest.mark.parametrize("moment", CRASHES)
def test_a_kill_while_a_second_version_is_recorded_never_mixes_two_versions(course, monkeypatch, moment):
    """The learner hands the first version in again, which the journal knows: what the second one left must go."""
    hand_in(course, "ada", 3)
    expected, before = run(course), notebooks(course)
    hand_in(course, "ada", 1)
    killed(course, moment, "ada", monkeypatch)
    hand_in(course, "ada", 3)
    assert run(course) == expected
    assert notebooks(course) == before
    assert [row["score"] for row in rows(course)] == ["17.0"]


def test_a_resumed_run_repeats_only_what_is_missing(course, monkeypatch):
    for i in range(5):
        hand_in(course, f"student_{i}", i % 4)
    killed(course, "recorded", "student_2", monkeypatch)
    seen = []
    monkeypatch.setattr(pool, "grade_many", lambda job, todo, n: said(job, (seen.append(s[0]) or s for s in todo), n))
    assert len(run(course)) == 5
    assert seen == ["student_3", "student_4"]
    hand_in(course, "student_1", 3)
    run(course)
    assert seen == ["student_3", "student_4", "student_1"]


@pytest.mark.sandbox
def test_a_class_that_is_killed_again_and_again_ends_as_if_it_never_was(sample_class, tmp_path):
    whole, course = course_at(tmp_path / "whole"), course_at(tmp_path / "killed")
    answers = [*sample_class.RIGHT.values(), *(pair[0] for pair in sample_class.WRONG.values())]
    for i in range(40):
        step, forward, readout = answers[i % len(answers)]
        notebook = sample_class._answered(step and f"# {i}\n{step}", forward, readout)
        if i % len(answers) == list(sample_class.RIGHT).index("fay_own_helpers"):
            sample_class._add_helpers(notebook)
        for each in (whole, course):
            sample_class._hand_in(each.root, f"student_{i:02}", notebook)
    command = [sys.executable, "-m", "autograder.cli", "grade", SET, "--seed", "5", "--course"]
    path = journal_path(course, SET)
    for at_least in (1, 14, 27):
        child = subprocess.Popen([*command, course.root, "--workers", "2"], stderr=subprocess.DEVNULL)
        while child.poll() is None and (path.read_bytes().count(b"\n{") if path.is_file() else 0) < at_least:
            time.sleep(0.01)
        workers = psutil.Process(child.pid).children(recursive=True)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        assert psutil.wait_procs(workers, timeout=30)[1] == []  # nobody works on for a run that is gone
        with sqlite3.connect(course.root / "gradebook.db") as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
    lines = path.read_bytes().count(b"\n{")
    subprocess.run([*command, course.root, "--workers", "1"], check=True, stdout=subprocess.DEVNULL)
    assert path.read_bytes().count(b"\n{") <= 40 + 3  # at most the one under way is graded twice a kill
    assert lines < 40
    subprocess.run([*command, whole.root, "--workers", "2"], check=True, stdout=subprocess.DEVNULL)
    assert Journal(path).records == Journal(journal_path(whole, SET)).records
    assert rows(course) == rows(whole)
    assert in_gradebook(course) == in_gradebook(whole)
    for each in (course, whole):
        assert cli.main(["feedback", SET, "--course", str(each.root)]) == 0
    page = "feedback/{0}/{1}/{1}.html"
    for i in range(40):
        name = page.format(f"student_{i:02}", SET)
        assert (course.root / name).read_bytes() == (whole.root / name).read_bytes()


# ---- the journal ---------------------------------------------------------------------------------------------------


def test_a_journal_is_read_past_whatever_a_kill_left(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path).append("k1", {"student": "ada", "points": 1}, "n1")
    with path.open("ab") as file:
        file.write(b'\n{"key": "k2", "notebook": "n2", "rec')
    Journal(path).append("k3", {"student": "zoë\n", "points": 3}, "n3")
    with path.open("ab") as file:
        file.write(b"\n" + b"\0" * 100 + b'\n[]\n7\n{"record": {}}\n\xff\n')
    journal = Journal(path)
    assert journal.students == ["ada", "zoë\n"]
    assert journal.find("ada", "k1", "n1") == {"student": "ada", "points": 1}
    assert journal.find("ada", "k2", "n1") is None
    assert journal.find("ada", "k1", "another") is None
    journal.append("k4", {"student": "ada", "points": 4}, "n4")
    assert journal.record("ada") == Journal(path).record("ada") == {"student": "ada", "points": 4}
    assert journal.record("zoë\n")["points"] == 3


# ---- what a person gave, and what being late costs -----------------------------------------------------------------


def by_hand(course, **values):
    with Gradebook(course.db_url) as gradebook:
        for name, scores in values.items():
            given = gradebook.find_grade(name, SET, SET, "ada")
            for key, value in scores.items():
                setattr(given, key, value)
        gradebook.db.commit()


def test_scores_comments_and_extra_credit_of_a_person_survive_a_regrade(course):
    hand_in(course, "ada", 1)
    run(course)
    by_hand(
        course,
        rnn_forward={"manual_score": 6.5, "needs_manual_grade": False},
        why_any_length={"manual_score": 2, "extra_credit": 1.5, "needs_manual_grade": False},
    )
    with Gradebook(course.db_url) as gradebook:
        gradebook.find_comment("why_any_length", SET, SET, "ada").manual_comment = "Good."
        gradebook.db.commit()
    before = rows(course)[0]
    first = questions_of(SET)["rnn_step"].points
    assert float(before["score"]) == first + 6.5 + 3.5
    run(course, force=True)
    assert rows(course)[0] == before
    with Gradebook(course.db_url) as gradebook:
        assert gradebook.find_comment("why_any_length", SET, SET, "ada").comment == "Good."
        assert gradebook.find_grade("rnn_forward", SET, SET, "ada").needs_manual_grade  # shown to the person again
    hand_in(course, "ada", 3)
    run(course)
    assert float(rows(course)[0]["score"]) == first + 6.5 + 3.5 + questions_of(SET)["readout"].points


def test_a_score_is_nbgraders_own(course, tmp_path):
    """What SaveAutoGrades makes of the notebook that we wrote is what we recorded, extra credit and all."""
    for right in range(4):
        hand_in(course, "ada", right)
        run(course)
        by_hand(course, rnn_step={"manual_score": None if right < 2 else 1.0, "extra_credit": 0.5})
        run(course, force=True)
        ours = in_gradebook(course), rows(course)
        path = course.out("autograded", "ada", SET)
        theirs = SaveAutoGrades()
        names = {"notebook": SET, "assignment": SET, "student": "ada", "db_url": course.db_url}
        theirs.preprocess(record.nbformat.read(path, as_version=4), {"nbgrader": names})
        assert (in_gradebook(course), rows(course)) == ours


LATE = """from nbgrader.plugins import BasePlugin


class PerHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return {rule}


c = get_config()
c.AssignLatePenalties.plugin_class = PerHour
"""


@pytest.mark.parametrize(
    "rule", ["total_seconds_late / 3600", "score / 2", "1000.0", "-3.0", "None"], ids=lambda rule: rule.split()[0]
)
def test_a_late_penalty_is_what_nbgraders_own_preprocessor_gives(course, rule):
    config = course.root / "nbgrader_config.py"
    config.write_text(LATE.format(rule=rule) + config.read_text())
    course = Course.at(course.root)
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_assignment(SET, duedate="2026-11-01 00:00:00 UTC")
    hand_in(course, "ada", 3, "2026-11-01 02:30:00 UTC")
    hand_in(course, "bob", 0, "2026-11-01 02:30:00 UTC")
    hand_in(course, "cleo", 3, "2026-10-31 23:00:00 UTC")
    run(course)
    ours = rows(course)
    for student in ("ada", "bob", "cleo"):
        names = {"notebook": SET, "assignment": SET, "student": student, "db_url": course.db_url}
        theirs = AssignLatePenalties(config=course.config)
        theirs.preprocess(record.nbformat.v4.new_notebook(), {"nbgrader": names})
    assert rows(course) == ours
    assert float(ours[2]["late_submission_penalty"]) == 0


def test_a_due_date_or_an_extension_given_later_counts_without_running_anything_again(course, monkeypatch):
    config = course.root / "nbgrader_config.py"
    config.write_text(LATE.format(rule="2.0") + config.read_text())
    course = Course.at(course.root)
    hand_in(course, "ada", 3, "2026-11-02 00:00:00 UTC")
    run(course)
    monkeypatch.setattr(pool, "grade_many", lambda job, todo, n: iter([pytest.fail("graded again") for _ in todo]))
    penalty = []
    for duedate, hours in (("2026-11-01 00:00:00 UTC", 0), ("2026-11-01 00:00:00 UTC", 30), (None, 0)):
        with Gradebook(course.db_url) as gradebook:
            gradebook.update_or_create_assignment(SET, duedate=duedate)
            gradebook.grant_extension(SET, "ada", hours=hours)
        run(course)
        penalty.append(float(rows(course)[0]["late_submission_penalty"]))
    assert penalty == [2, 0, 0]


def test_a_time_that_only_the_gradebook_has_is_kept(course):
    hand_in(course, "ada", 3)
    run(course)
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_submission(SET, "ada", timestamp="2026-11-02 00:00:00 UTC")
    run(course, force=True)
    with Gradebook(course.db_url) as gradebook:
        assert gradebook.find_submission(SET, "ada").timestamp == datetime(2026, 11, 2)


def test_score_and_penalty_are_one_transaction(course, monkeypatch):
    with Gradebook(course.db_url) as gradebook:
        gradebook.update_or_create_assignment(SET, duedate="2026-11-01 00:00:00 UTC")
    hand_in(course, "ada", 3, "2026-11-02 00:00:00 UTC")

    def fails(*arguments):
        raise ZeroDivisionError("the course's own plugin")

    monkeypatch.setattr("nbgrader.plugins.LateSubmissionPlugin.late_submission_penalty", fails)
    with pytest.raises(ZeroDivisionError):
        run(course)
    assert in_gradebook(course) == {}


def test_a_handout_with_other_cells_is_refused_in_words(course):
    hand_in(course, "ada", 3)
    run(course)
    path = course.released_path(SET)
    notebook = json.loads(path.read_text())
    notebook["cells"] = [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") != "readout"]
    path.write_text(json.dumps(notebook))
    with pytest.raises(CourseError, match="Release ps1_rnn as it was"):
        Book(course, SET)


def test_a_run_holds_no_rows_of_submissions_that_are_done(course):
    for i in range(12):
        hand_in(course, f"student_{i:02}", i % 4)
    held = []
    with Book(course, SET) as book:
        for i in range(12):
            book.write(f"student_{i:02}", graded(i % 4), None)
            held.append(len(book._db.identity_map))
    assert set(held) == {0}


def test_the_gradebook_finds_a_submissions_rows_by_an_index(course):
    with sqlite3.connect(course.root / "gradebook.db") as db:
        for table in ("grade", "comment"):
            plan = db.execute(f"explain query plan select * from {table} where notebook_id = ?", ("x",)).fetchall()
            assert "USING INDEX" in plan[0][3]


# ---- PostgreSQL ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres():
    """A private PostgreSQL on a loopback port, by its address."""
    pytest.importorskip("psycopg", reason="needs the extra `postgres`")
    found = shutil.which("initdb") or next(iter(glob.glob("/usr/lib/postgresql/*/bin/initdb")), None)
    if not found:
        pytest.skip("needs PostgreSQL's programs (Debian: postgresql)")
    user = {"user": "nobody"} if os.geteuid() == 0 else {}  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="rnn-postgres-"))
    password = secrets.token_hex(16)
    (folder / "password").write_text(password)
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "nobody")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    make = [found, "-D", folder / "data", "-U", "grader", "-A", "scram-sha-256", "--pwfile", folder / "password", "-N"]
    subprocess.run(make, check=True, capture_output=True, cwd=folder, **user)
    words = [Path(found).with_name("postgres"), "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = subprocess.Popen(words, cwd=folder, stderr=subprocess.DEVNULL, **user)
    try:
        import psycopg

        address = f"grader:{password}@127.0.0.1:{port}/postgres"
        for _ in range(100):
            try:
                psycopg.connect(f"postgresql://{address}").close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield f"postgresql+psycopg://{address}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder)


@pytest.mark.sandbox
def test_postgresql_and_sqlite_say_the_same_of_the_sample_class(postgres, sample_class, tmp_path, capsys):
    courses = [course_at(tmp_path / name) for name in ("sqlite", "postgresql")]
    config = courses[1].root / "nbgrader_config.py"
    config.write_text(config.read_text() + f"\nc.CourseDirectory.db_url = {postgres!r}\n")
    said = []
    for course in (Course.at(course.root) for course in courses):
        everybody = tmp_path / "class"
        if not everybody.exists():
            sample_class.make(everybody)
        slow = [folder for folder in (everybody / "submitted").iterdir() if folder.name in sample_class.HOSTILE]
        shutil.copytree(
            everybody / "submitted",
            course.root / "submitted",
            symlinks=True,
            ignore=lambda folder, names, slow=slow: {path.name for path in slow} & set(names),
        )
        for _ in range(2):  # the second run finds everything recorded
            assert cli.main(["grade", SET, "--course", str(course.root), "--seed", "3"]) == 0
        path = journal_path(course, SET)
        assert path.read_bytes().count(b"\n{") == len(course.submissions(SET))
        by_hand_student(course, "ada_plain")
        assert cli.main(["grade", SET, "--course", str(course.root), "--force", "--student", "ada_plain"]) == 0
        said.append((rows(course), in_gradebook(course), Journal(path).records))
    assert said[0] == said[1]
    assert {row["score"] for row in said[0][0]} > {"0.0", "18.5"}
    assert postgres.split(":")[2].split("@")[0] not in capsys.readouterr().out  # the password


def by_hand_student(course, student):
    with Gradebook(course.db_url) as gradebook:
        gradebook.find_grade("rnn_step", SET, SET, student).extra_credit = 1.5
        gradebook.db.commit()
