"""Every problem set in JupyterLab: unanswered it runs and says so, solved it lights up its pictures."""

import pytest

from autograder.questions import PROBLEM_SETS, questions_of
from tests.browser.hands import drive, validate

pytestmark = pytest.mark.browser
each_set = pytest.mark.parametrize("name", PROBLEM_SETS)


@each_set
def test_a_handout_with_nothing_written_runs_and_validate_says_what_is_missing(lab, root, name):
    lab.copy(root / "autograder/course/release" / name)
    with lab.open(f"{name}/{name}.ipynb") as notebook:
        notebook.run_all()
        assert notebook.page.get_by_text("not written yet").count() >= len(questions_of(name))
        answer = validate(notebook).lower()
        assert "fail" in answer
        assert "success" not in answer


@each_set
def test_a_solved_set_draws_pictures_that_follow_each_of_their_controls(lab, root, name):
    lab.copy(root / "autograder/course/source" / name)
    with lab.open(f"{name}/{name}.ipynb") as notebook:
        notebook.run_all(timeout=300)
        assert not notebook.page.get_by_text("Not yet:").count()
        assert drive(notebook.page)
        assert not notebook.errors
