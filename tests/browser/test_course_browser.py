"""The course as its users meet it: JupyterLab in Chromium, a lesson that moves, a problem set that answers."""

import json

import pytest

from tests.browser.hands import drive, validate
from tests.conftest import ROOT

pytestmark = pytest.mark.browser
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RIGHT = """def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
"""
WRONG = RIGHT.replace("W_hh.T", "W_hh")
FORWARD = """def rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    hs = [h0]
    for x_t in x:
        hs.append(rnn_step(x_t, hs[-1], W_ih, W_hh, b_ih, b_hh))
    return np.stack(hs[1:]), hs[-1]
"""
READOUT = """def readout(hs, W, b):
    logits = hs @ W.T + b
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return logits, e / e.sum(axis=-1, keepdims=True)
"""


@pytest.fixture
def course_in_lab(lab, root):
    """The notebooks and the handout, as a launch serves them."""
    lab.copy(root / "notebooks")
    lab.copy(root / "autograder/course/release")
    return lab


@pytest.mark.parametrize("lesson", [path.stem for path in LESSONS])
def test_every_explorer_of_a_lesson_follows_each_of_its_controls(course_in_lab, lesson):
    with course_in_lab.open(f"notebooks/{lesson}.ipynb") as notebook:
        notebook.run_all()
        assert drive(notebook.page)
        assert not notebook.errors


def write(course_in_lab, name, step):
    """The handout with the step as given and the rest right."""
    path = course_in_lab.root / "release/ps1_rnn/ps1_rnn.ipynb"
    notebook = json.loads(path.read_text())
    texts = {"rnn_step_solution": step, "rnn_forward_solution": FORWARD, "readout_solution": READOUT}
    for cell in notebook["cells"]:
        cell["source"] = texts.get(cell["id"], cell["source"])
        if cell["id"] == "why_any_length":
            cell["source"] = "Because the weights are shared."
    target = course_in_lab.root / name
    target.write_text(json.dumps(notebook))
    return name


def card(notebook, headline):
    """The text of the check's card with this headline, once it is there."""
    found = notebook.page.locator(f".jp-OutputArea-output:has-text('{headline}')").first
    found.wait_for(state="attached", timeout=30_000)
    return found.text_content()


def test_a_wrong_step_fails_its_check_and_validate_agrees(course_in_lab):
    with course_in_lab.open(write(course_in_lab, "wrong.ipynb", WRONG)) as notebook:
        notebook.run_all()
        assert "W_hh is used without a transpose" in card(notebook, "Not yet: 0 of 4 points")
        answer = validate(notebook)
        assert "fail" in answer.lower()
        assert "success" not in answer.lower()


def test_a_right_solution_passes_its_checks_and_validate_agrees(course_in_lab):
    with course_in_lab.open(write(course_in_lab, "right.ipynb", RIGHT)) as notebook:
        notebook.run_all()
        for points in ("4 of 4", "8 of 8", "5 of 5"):
            card(notebook, f"Right: {points} points")
        assert "success" in validate(notebook).lower()


def test_a_learner_repairs_a_wrong_step_and_the_card_turns(course_in_lab):
    """Type the repair into the cell, run the two cells again, read the card."""
    with course_in_lab.open(write(course_in_lab, "repair.ipynb", WRONG)) as notebook:
        notebook.run_all()
        page = notebook.page
        page.evaluate(
            """([wrong, right]) => {
              const panel = window.jupyterapp.shell.currentWidget.content;
              const at = panel.widgets.findIndex((cell) => cell.model.sharedModel.source === wrong);
              panel.widgets[at].model.sharedModel.setSource(right);
              panel.activeCellIndex = at;
              window.jupyterapp.commands.execute('notebook:run-cell-and-select-next').then(
                () => window.jupyterapp.commands.execute('notebook:run-cell-and-select-next'));
            }""",
            [WRONG, RIGHT],
        )
        card(notebook, "Right: 4 of 4 points")
