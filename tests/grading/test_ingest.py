"""Of an untrusted file only text survives: solutions by grade_id and the learner's own cells, in place."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import ingest
from autograder.course_files import Course


@pytest.fixture(scope="module")
def released(root):
    return Course.at(root / "autograder/course").released("ps1_rnn")


def submitted(released, edit):
    notebook = json.loads(json.dumps(released))
    edit({name(cell): cell for cell in notebook["cells"]}, notebook["cells"])
    return ingest.rebuild(ingest.parse(json.dumps(notebook).encode()), released)


def name(cell):
    return cell["metadata"].get("nbgrader", {}).get("grade_id", cell["id"])


def sources(notebook):
    return {name(cell): cell["source"] for cell in notebook["cells"]}


def code(text, **more):
    return {"cell_type": "code", "id": "x", "metadata": {}, "source": text, "outputs": [], **more}


def test_an_untouched_handout_comes_back_as_it_was(released):
    assert submitted(released, lambda cells, order: None) == released


def test_locked_cells_and_all_metadata_are_the_instructors(released):
    def edit(cells, order):
        cells["rnn_step"]["source"] = "8.0"
        cells["rnn_step"]["metadata"]["tags"] = ["skip-execution"]
        cells["rnn_step"]["metadata"]["nbgrader"]["points"] = 1000
        cells["rnn_step_solution"]["metadata"]["nbgrader"]["locked"] = True
        cells["setup"]["cell_type"] = "markdown"

    assert submitted(released, edit) == released


def test_solution_text_is_the_learners(released):
    rebuilt = submitted(released, lambda cells, order: cells["rnn_step_solution"].update(source="mine = 1"))
    assert sources(rebuilt)["rnn_step_solution"] == "mine = 1"


def test_own_cells_are_kept_in_place_without_metadata(released):
    mine = code("helper = 1", metadata={"tags": ["x"], "nbgrader": {"grade_id": "no_such"}}, outputs=[{"evil": 1}])
    rebuilt = submitted(released, lambda cells, order: order.insert(3, mine))
    before, own = rebuilt["cells"][2:4]
    assert name(before) == name(released["cells"][2])
    assert own == {
        "cell_type": "code",
        "id": "extra-1",
        "metadata": {},
        "source": "helper = 1",
        "outputs": [],
        "execution_count": None,
    }


def test_an_own_cell_above_everything_stays_above(released):
    rebuilt = submitted(released, lambda cells, order: order.insert(0, code("first = 1")))
    assert rebuilt["cells"][0]["source"] == "first = 1"


def test_deleted_cells_are_back_and_an_empty_solution_is_empty(released):
    rebuilt = submitted(released, lambda cells, order: order.clear())
    assert [name(cell) for cell in rebuilt["cells"]] == [name(cell) for cell in released["cells"]]
    assert sources(rebuilt)["rnn_step_solution"] == ""


def test_reordered_cells_are_in_order_again(released):
    def edit(cells, order):
        cells["rnn_step_solution"]["source"] = "mine = 1"
        order.reverse()

    rebuilt = submitted(released, edit)
    assert [name(cell) for cell in rebuilt["cells"]] == [name(cell) for cell in released["cells"]]
    assert sources(rebuilt)["rnn_step_solution"] == "mine = 1"


def test_a_copied_solution_cell_runs_after_the_first_as_run_all_would(released):
    def edit(cells, order):
        cells["rnn_step_solution"]["source"] = "first = 1"
        copied = json.loads(json.dumps(cells["rnn_step_solution"])) | {"source": "second = 2"}
        order.insert(order.index(cells["rnn_step_solution"]) + 1, copied)

    rebuilt = submitted(released, edit)
    texts = [cell["source"] for cell in rebuilt["cells"]]
    assert texts.index("second = 2") == texts.index("first = 1") + 1
    assert texts.index("second = 2") < texts.index('check("rnn_step", rnn_step)')


def test_a_tool_that_strips_metadata_costs_nothing(released):
    def edit(cells, order):
        cells["rnn_step_solution"]["source"] = "mine = 1"
        for cell in order:
            cell["metadata"] = {}

    assert sources(submitted(released, edit))["rnn_step_solution"] == "mine = 1"


def test_html_in_a_written_answer_is_shown_not_run(released):
    rebuilt = submitted(
        released, lambda cells, order: cells["why_any_length"].update(source="<script>x</script> 1 < 2")
    )
    assert sources(rebuilt)["why_any_length"] == "&lt;script>x&lt;/script> 1 < 2"


def test_cells_to_explore_are_not_run(released):
    run = {name(cell) for cell in released["cells"] if ingest.is_run(cell)}
    assert {"setup", "rnn_step_solution", "rnn_step"} <= run
    assert not {"install", "look_at_it"} & run


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"cells": 1}',
        b'{"cells": [' + b"[" * 100_000,
        b'{"worksheets": []}',
        json.dumps({"cells": [{}] * 2001}).encode(),
    ],
)
def test_what_is_no_notebook_is_ungradable_with_a_reason(raw):
    with pytest.raises(ingest.Ungradable, match=r"\w+ \w+"):
        ingest.parse(raw)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["cell_type", "source", "metadata", "nbgrader", "grade_id", "id"]), inner)
    ),
)


@settings(deadline=None)
@given(cells=st.lists(anything))
def test_any_cells_at_all_give_the_instructors_notebook(released, cells):
    rebuilt = ingest.rebuild(ingest.parse(json.dumps({"cells": cells}).encode()), released)
    kept = [name(cell) for cell in rebuilt["cells"] if not cell["id"].startswith("extra-")]
    assert kept == [name(cell) for cell in released["cells"]]


class TestReading:
    def test_the_notebook_is_found(self, tmp_path):
        (tmp_path / "ps1.ipynb").write_bytes(b"here")
        assert ingest.read(tmp_path, "ps1.ipynb") == b"here"

    def test_a_renamed_download_is_found(self, tmp_path):
        (tmp_path / "ps1 (1).ipynb").write_bytes(b"here")
        assert ingest.read(tmp_path, "ps1.ipynb") == b"here"

    def test_nothing_and_too_many_are_said_so(self, tmp_path):
        with pytest.raises(ingest.Ungradable, match="no notebook"):
            ingest.read(tmp_path, "ps1.ipynb")
        for other in ("a.ipynb", "b.ipynb"):
            (tmp_path / other).touch()
        with pytest.raises(ingest.Ungradable, match="2 other notebooks"):
            ingest.read(tmp_path, "ps1.ipynb")

    @pytest.mark.parametrize("make", [lambda path: path.symlink_to("/etc/passwd"), os.mkfifo, os.mkdir])
    def test_links_pipes_and_folders_are_refused(self, tmp_path, make):
        make(tmp_path / "ps1.ipynb")
        with pytest.raises(ingest.Ungradable, match=r"link|ordinary"):
            ingest.read(tmp_path, "ps1.ipynb")

    def test_a_linked_folder_is_refused(self, tmp_path):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "ps1.ipynb").touch()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        with pytest.raises(ingest.Ungradable, match="not a folder"):
            ingest.read(tmp_path / "link", "ps1.ipynb")

    def test_a_large_file_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ingest, "MAX_BYTES", 10)
        (tmp_path / "ps1.ipynb").write_bytes(b"x" * 11)
        with pytest.raises(ingest.Ungradable, match="larger"):
            ingest.read(tmp_path, "ps1.ipynb")
