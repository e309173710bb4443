"""What holds for every problem set: its checks need NumPy alone, its links lead somewhere, Colab can run it."""

import json
import re
import subprocess
import sys

import nbformat
import pytest

from autograder.questions import PROBLEM_SETS, data_files, questions_of
from tests.conftest import ROOT

COURSE = ROOT / "autograder/course"
# Everything of the extras, and what they bring along, out of reach.
ALONE = """
import ast, importlib.abc, json, os, sys
ALLOWED = {"numpy", "rnnlib", "autograder", *sys.stdlib_module_names}
class Refuses(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED:
            raise ModuleNotFoundError(f"only NumPy is here, not {name}", name=name)
sys.meta_path.insert(0, Refuses())
sys.path[:0] = [sys.argv[1]]
os.chdir(sys.argv[2])
names = {"__name__": "__main__"}
points = {}
for grade_id, source in json.load(sys.stdin):
    tree = ast.parse(source)
    asked = tree.body.pop() if grade_id else None
    exec(compile(tree, "<cell>", "exec"), names)
    if asked:
        points[grade_id] = eval(ast.unparse(asked), names).points
print(json.dumps(points))
"""


def cells(name, kind="source"):
    return nbformat.read(COURSE / kind / name / f"{name}.ipynb", as_version=4).cells


@pytest.mark.parametrize("name", [name for name in PROBLEM_SETS if not data_files(name)])  # what is trained: test_ps9
def test_a_solution_passes_its_checks_where_numpy_is_all_there_is(name, tmp_path):
    questions = questions_of(name)
    sources = [
        (cell.id if cell.id in questions else None, cell.source)
        for cell in cells(name)
        if cell.cell_type == "code" and "explore" not in cell.metadata.get("tags", [])
    ]
    command = [sys.executable, "-c", ALONE, str(ROOT), str(COURSE / "source" / name)]
    done = subprocess.run(command, input=json.dumps(sources), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    earned = json.loads(done.stdout.splitlines()[-1])
    assert earned == {question: asked.points for question, asked in questions.items()}


@pytest.mark.parametrize("name", PROBLEM_SETS)
def test_one_cell_installs_the_course_on_colab(name):
    address = re.search(r'Repository = "(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    installing = [cell for cell in cells(name, "release") if "%pip" in cell.source]
    assert [cell.id for cell in installing] == ["install"]
    assert f"@ git+{address}" in installing[0].source
    assert installing[0] == next(cell for cell in cells(name, "release") if cell.cell_type == "code")


@pytest.mark.parametrize("name", PROBLEM_SETS)
def test_links_from_a_handout_lead_to_files_and_sections(name):
    folder = COURSE / "release" / name
    for cell in cells(name, "release"):
        if cell.cell_type == "markdown":
            for target, section in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#([^)]*))?\)", cell.source):
                assert (folder / target).exists(), target
                if section:
                    assert section in headings(folder / target), (target, section)


@pytest.mark.parametrize("name", PROBLEM_SETS)
def test_every_diagnosis_leads_to_a_section_that_is_there(name):
    for question in questions_of(name).values():
        there = headings(ROOT / "notebooks" / question.lesson)
        for bug in question.bugs:
            assert bug.read.replace(" ", "-") in there, (question.name, bug.name, bug.read)


def headings(path):
    """The sections of a notebook, as a link names them."""
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    return {line.lstrip("# ").replace(" ", "-") for text in texts for line in text.splitlines() if line.startswith("#")}
