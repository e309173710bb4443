"""Every notebook that a learner opens runs from top to bottom, says nothing on stderr, and its widgets draw."""

import subprocess
import sys
from typing import NamedTuple

import nbformat
import pytest

from tests.conftest import ROOT, load

pages = load(ROOT / ".ci/pages.py")
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


# In a process of its own, whose only child is the kernel: what other tests needed must not count as a lesson's.
ALONE = """
import resource, sys
from pathlib import Path
import nbformat
from tests.conftest import ROOT, load
nbformat.write(load(ROOT / ".ci/pages.py").execute(Path(sys.argv[1])), sys.argv[2])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


class Executed(NamedTuple):
    notebook: nbformat.NotebookNode
    kilobytes: int


@pytest.fixture(scope="module", params=LESSONS, ids=lambda path: path.stem)
def run(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("executed") / request.param.name
    command = [sys.executable, "-c", ALONE, request.param, out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return Executed(nbformat.read(out, as_version=4), int(done.stdout.split()[-1]))


@pytest.fixture
def executed(run):
    return run.notebook


def outputs(notebook):
    return [(cell, output) for cell in notebook.cells for output in cell.get("outputs", [])]


def test_it_runs_without_an_error_or_a_word_on_stderr(executed):
    for cell, output in outputs(executed):
        assert output.output_type != "error", cell.source
        assert output.get("name") != "stderr", (cell.source, output.text)


def test_every_explorer_has_a_picture_for_where_no_kernel_runs(executed):
    shown = [output.data for _, output in outputs(executed) if pages.WIDGET in output.get("data", {})]
    assert shown
    for data in shown:
        assert len(data["image/png"]) > 10_000
        assert data["text/plain"].strip()


def test_it_stays_under_a_gigabyte(run):
    assert 50_000 < run.kilobytes < 1 << 20


@each_lesson
def test_code_cells_are_short_and_titles_complete(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert len(cell.source.splitlines()) <= 15, cell.id
    title = notebook.cells[0].source
    for word in ("mybinder.org", "colab.research.google.com", "Time", "Know first"):
        assert word in title, word


@each_lesson
def test_links_between_files_lead_somewhere(path):
    import re

    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", cell.source):
                assert (path.parent / target).exists(), target
