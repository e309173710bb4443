"""The handout is made by nbgrader, always the same, and holds no solution; commands refuse with the way out."""

import json
import shutil

import pytest

from autograder import cli
from autograder.course_files import Course, CourseError
from autograder.questions import PROBLEM_SETS
from autograder.release import release


@pytest.fixture
def course(root, tmp_path):
    for name in ("source", "release"):
        shutil.copytree(root / "autograder/course" / name, tmp_path / name)
    shutil.copy(root / "autograder/course/nbgrader_config.py", tmp_path)
    return Course.at(tmp_path)


@pytest.mark.parametrize("problem_set", PROBLEM_SETS)
def test_the_committed_handout_is_what_the_source_gives(course, root, problem_set):
    committed = Course.at(root / "autograder/course").released_path(problem_set).read_bytes()
    assert release(course, problem_set).read_bytes() == committed
    assert release(course, problem_set).read_bytes() == committed  # and again, over an existing one


@pytest.mark.parametrize("problem_set", PROBLEM_SETS)
def test_the_handout_holds_no_solution(root, problem_set):
    released = Course.at(root / "autograder/course").released(problem_set)
    for cell in released["cells"]:
        assert "SOLUTION" not in cell["source"]
        assert "MARK SCHEME" not in cell["source"]
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            assert "raise NotImplementedError" in cell["source"] or cell["source"] == "YOUR ANSWER HERE"


@pytest.mark.parametrize("problem_set", PROBLEM_SETS)
def test_every_cell_has_its_grade_id_as_id(root, problem_set):
    for cell in Course.at(root / "autograder/course").released(problem_set)["cells"]:
        assert cell["id"] == cell["metadata"].get("nbgrader", {}).get("grade_id", cell["id"])


def test_points_of_cells_and_questions_must_agree(course):
    path = course.released_path("ps1_rnn")
    path.write_text(path.read_text().replace('"points": 8', '"points": 9'))
    with pytest.raises(CourseError, match="worth 8 points, its cell says 9"):
        course.check_points("ps1_rnn")


def test_a_seed_is_secret_kept_and_repeatable(course):
    first = course.seed("ps1_rnn")
    assert course.seed("ps1_rnn") == first
    assert course.seed("ps1_rnn", new=True) != first
    assert course.seed("ps1_rnn", given=5) == course.seed("ps1_rnn") == 5
    assert (course.root / "private").stat().st_mode & 0o077 == 0
    assert (course.root / "private/ps1_rnn.seed").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["grade", "ps1_rnn", "--course", "{nowhere}"], "not a course"),
        (["grade", "ps1_rnn", "--course", "{course}"], "Nobody handed in"),
        (["grade", "ps7", "--course", "{course}"], "not released yet"),
        (["release", "ps7", "--course", "{course}"], "no source notebook"),
        (["report", "ps1_rnn", "--course", "{course}"], "Nothing of ps1_rnn is graded yet"),
        (["feedback", "ps1_rnn", "--course", "{course}"], "Run: autograder grade ps1_rnn"),
    ],
)
def test_a_command_that_cannot_work_says_why(course, tmp_path, capsys, arguments, says):
    places = {"course": str(course.root), "nowhere": str(tmp_path / "nowhere")}
    assert cli.main([argument.format(**places) for argument in arguments]) == 2
    assert says in capsys.readouterr().err


def test_without_a_sandbox_grading_refuses_and_names_the_override(course, monkeypatch, capsys, sample_class):
    sample_class._hand_in(course.root, "ada", json.loads(course.released_path("ps1_rnn").read_text()))
    monkeypatch.setenv("PATH", "")
    assert cli.main(["grade", "ps1_rnn", "--course", str(course.root)]) == 2
    assert "--allow-unsandboxed" in capsys.readouterr().err


def test_an_unsandboxed_run_is_stamped_on_every_record(course, sample_class):
    sample_class._hand_in(course.root, "ada", sample_class._answered(*sample_class.RIGHT["ada_plain"]))
    path = course.root / "records.json"
    arguments = ["grade", "ps1_rnn", "--course", str(course.root), "--allow-unsandboxed", "--json", str(path)]
    assert cli.main(arguments) == 0
    (record,) = json.loads(path.read_text())
    assert record["points"] == 17
    assert record["sandboxed"] is False


@pytest.mark.sandbox
def test_doctor_finds_this_machine_able(course, capsys):
    assert cli.main(["doctor", "--course", str(course.root)]) == 0
    assert "sandbox" in capsys.readouterr().out


def test_a_handout_with_somebodys_answers_is_not_overwritten(course):
    path = course.released_path("ps1_rnn")
    notebook = json.loads(path.read_text())
    cell = next(cell for cell in notebook["cells"] if cell["id"] == "rnn_step_solution")
    cell["source"] = "hours = 'of work'"
    path.write_text(json.dumps(notebook))
    with pytest.raises(CourseError, match="Somebody has written into"):
        release(course, "ps1_rnn")
    assert "of work" in path.read_text()
