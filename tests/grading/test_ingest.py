"""Of an untrusted file only text survives: solutions by grade_id and the learner's own cells, in place."""

import json
import os
import re

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


def note(text):
    return {"cell_type": "markdown", "id": "x", "metadata": {}, "source": text}


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


@pytest.mark.parametrize(
    "answer",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "<a/href='javascript:1'>x</a>",
        "[x](javascript:alert(1))",
        "[x] (javascript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "![x](http://nowhere.invalid/seen.png)",
        "[x][y]\n\n[y]: javascript:alert(1)",
        "[y]\n\n[y]:javascript:alert(1)",
        "<javascript:alert(1)>",
    ],
)
def test_a_written_answer_runs_and_fetches_nothing_where_formgrader_shows_it(answer):
    """Formgrader renders Markdown with nbconvert, unsanitised."""
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    shown = markdown2html_mistune(ingest.harmless(answer))
    assert not re.search(r"<(script|img|iframe|svg)\b", shown), shown
    assert not re.search(r"<a href=(?!.https?://)", shown), shown  # an address written out links to what it says


def test_an_answer_keeps_its_formulas_code_and_comparisons():
    answer = "$h_t = \\tanh(W h_{t-1})$, `x[t]`, 1 < 2, **bold**"
    assert ingest.harmless(answer) == answer


def test_an_endless_answer_is_cut_and_says_so():
    assert len(ingest.harmless("\\\\[" * 20_000)) < ingest.MAX_ANSWER + 200
    assert "cut here" in ingest.harmless("x" * 20_000)


def test_a_written_answer_in_a_new_cell_is_counted(released):
    def edit(cells, order):
        order.insert(order.index(cells["why_any_length"]) + 1, note("My answer."))
        order.insert(order.index(cells["why_any_length"]) + 2, note("And more."))

    assert sources(submitted(released, edit))["why_any_length"] == "My answer.\n\nAnd more."


def test_a_written_answer_above_its_cell_is_counted(released):
    rebuilt = submitted(
        released, lambda cells, order: order.insert(order.index(cells["why_any_length"]), note("My answer."))
    )
    assert sources(rebuilt)["why_any_length"] == "My answer."


def test_notes_elsewhere_are_no_answer(released):
    rebuilt = submitted(released, lambda cells, order: order.insert(2, note("A note.")))
    assert sources(rebuilt)["why_any_length"] == "YOUR ANSWER HERE"


@pytest.mark.parametrize("copied", ["rnn_step", "readout"])
def test_a_copied_check_above_a_helper_does_not_displace_it(released, copied):
    def edit(cells, order):
        at = order.index(cells["rnn_step_solution"])
        order[at:at] = [json.loads(json.dumps(cells[copied])), code("helper = 1")]

    texts = [cell["source"] for cell in submitted(released, edit)["cells"]]
    assert texts.index("helper = 1") < texts.index('check("rnn_step", rnn_step)')


def test_a_check_copied_to_the_end_does_not_displace_helpers(released):
    def edit(cells, order):
        order.insert(order.index(cells["rnn_step"]), code("helper = 1"))
        order.append(json.loads(json.dumps(cells["rnn_step"])))

    texts = [cell["source"] for cell in submitted(released, edit)["cells"]]
    assert texts.index("helper = 1") < texts.index('check("rnn_step", rnn_step)')


def test_lines_added_to_an_instructors_cell_are_kept_as_the_learners_own(released):
    def edit(cells, order):
        cells["setup"]["source"] += "\nimport math"
        cells["look_at_it"]["source"] += "\nmine = 1"
        cells["rnn_step"]["source"] += "\n1000.0"

    rebuilt = submitted(released, edit)
    own = [cell["source"] for cell in rebuilt["cells"] if cell["id"].startswith("extra-")]
    assert own == ["import math", "mine = 1"]


def test_a_solution_cell_turned_into_text_counts_only_without_a_code_copy(released):
    def edit(cells, order):
        copied = json.loads(json.dumps(cells["rnn_step_solution"])) | {"source": "code = 1"}
        cells["rnn_step_solution"].update(cell_type="raw", source="old = 1")
        order.insert(order.index(cells["rnn_step_solution"]) + 1, copied)

    rebuilt = submitted(released, edit)
    assert sources(rebuilt)["rnn_step_solution"] == "code = 1"
    assert "old = 1" not in [cell["source"] for cell in rebuilt["cells"]]


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
        with pytest.raises(ingest.Ungradable, match="a link, not a folder"):
            ingest.read(tmp_path / "link", "ps1.ipynb")

    def test_a_large_file_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(ingest, "MAX_BYTES", 10)
        (tmp_path / "ps1.ipynb").write_bytes(b"x" * 11)
        with pytest.raises(ingest.Ungradable, match="larger"):
            ingest.read(tmp_path, "ps1.ipynb")


def test_a_notebook_that_lost_every_name_is_recognised_by_its_text(released):
    def edit(cells, order):
        cells["rnn_step_solution"]["source"] = "step = 1"
        cells["readout_solution"]["source"] = "readout = 1"
        cells["why_any_length"]["source"] = "Because."
        order.insert(order.index(cells["rnn_step_solution"]), code("helper = 1"))
        for i, cell in enumerate(order):
            cell["metadata"], cell["id"] = {}, f"c{i}"

    found = sources(submitted(released, edit))
    assert found["why_any_length"] == "Because."
    assert found["readout_solution"] == "readout = 1"
    texts = list(found.values())
    assert texts.index("helper = 1") < texts.index('check("rnn_step", rnn_step)')
    assert texts.index("step = 1") < texts.index('check("rnn_step", rnn_step)')


def test_a_folder_that_we_may_not_read_is_nobodys_zero(tmp_path, monkeypatch):
    (tmp_path / "ps1.ipynb").touch()

    def refuse(*arguments, **more):
        raise PermissionError(13, "Permission denied", "ps1.ipynb")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        ingest.read(tmp_path, "ps1.ipynb")


def test_a_thousand_new_notes_are_read_in_no_time(released):
    """Their text is cut where an answer is; joining them all would take minutes."""

    def edit(cells, order):
        at = order.index(cells["why_any_length"]) + 1
        order[at:at] = [note("x" * 9_000) for _ in range(1_900)]

    assert len(sources(submitted(released, edit))["why_any_length"]) < 2 * ingest.MAX_ANSWER


@pytest.mark.parametrize(
    "value", [b"[]", b"{}", b'""', b"1", b'{"a":1}', b'"\\""', b'"\\\\"', "[]".encode("utf-16-le")], ids=repr
)
def test_json_that_would_fill_the_memory_is_refused_before_it_is_unpacked(value, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_VALUES", 1_000)
    monkeypatch.setattr(json, "loads", lambda text: pytest.fail("it was unpacked"))
    comma = b",\0" if b"\0" in value else b","
    with pytest.raises(ingest.Ungradable, match="Clear its outputs"):
        ingest.parse(b'{"cells": [' + comma.join([value] * 1_000) + b"]}")


@pytest.mark.parametrize("text", ["1,[{:" * 1_000, '",' * 1_000, "\\," * 1_000, '\\",' * 1_000, "\\\\" * 1_000])
def test_what_stands_in_a_text_is_not_counted(text, monkeypatch):
    monkeypatch.setattr(ingest, "MAX_VALUES", 100)
    notebook = {"cells": [{"cell_type": "code", "source": text, "id": "x"}]}
    (cell,) = ingest.parse(json.dumps(notebook).encode())
    assert cell.source == text
