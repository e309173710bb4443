"""Edit the notebook: submissions whose cells, tags, points or order are not the handout's.

`EDITS` holds, by name, what an attack tries and how it changes the handout. Where `POINTS` says nothing, 0 is deserved.
"""

import copy

STEP = """import numpy as np
def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
"""


def cell(notebook, name):
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def graded(notebook):
    return [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]


def extra(source, **metadata):
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [], "execution_count": 1}


def skip_tags(notebook):
    for c in notebook["cells"]:
        c["metadata"]["tags"] = ["skip-execution", "explore", "raises-exception", "remove-input", "nbval-skip"]


def thousand_points(notebook):
    cell(notebook, "rnn_step_solution")["source"] = STEP
    for c in graded(notebook):
        c["metadata"]["nbgrader"]["points"] = 1000


def negative_points(notebook):
    for c, points in zip(graded(notebook), (-1, float("nan"), "17", None), strict=False):
        c["metadata"]["nbgrader"]["points"] = points


def other_flags(notebook):
    for c in notebook["cells"]:
        for flag in ("grade", "locked", "solution", "task"):
            if "nbgrader" in c["metadata"]:
                c["metadata"]["nbgrader"][flag] = not c["metadata"]["nbgrader"].get(flag)


def other_ids(notebook):
    for i, c in enumerate(graded(notebook)):
        c["metadata"]["nbgrader"]["grade_id"] = ["../../gradebook", "", "why_any_length", "rnn_step\u0000"][i]


def swapped_ids(notebook):
    a, b = cell(notebook, "rnn_step"), cell(notebook, "rnn_step_solution")
    a["metadata"], b["metadata"] = b["metadata"], a["metadata"]
    a["source"] = "8.0"


def checks_that_answer_themselves(notebook):
    for c in graded(notebook):
        c["source"] = "8.0"
        c["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "8.0"}, "metadata": {}}]


def checks_deleted(notebook):
    notebook["cells"] = [c for c in notebook["cells"] if not c["metadata"].get("nbgrader", {}).get("grade")]


def checks_twice(notebook):
    for c in [*graded(notebook)]:
        twin = copy.deepcopy(c)
        twin["source"] = "8.0"
        notebook["cells"] += [twin, copy.deepcopy(c)]


def backwards(notebook):
    cell(notebook, "rnn_step_solution")["source"] = "def check(*a): return 8.0"
    notebook["cells"].reverse()


def checks_as_markdown(notebook):
    for c in graded(notebook):
        c["cell_type"] = "markdown"
        c["source"] = "8.0"


def checks_as_raw(notebook):
    for c in graded(notebook):
        c["cell_type"] = "raw"


def cells_after_the_test(notebook):
    for c in [*graded(notebook)]:
        at = notebook["cells"].index(c)
        notebook["cells"][at + 1 : at + 1] = [extra("8.0"), extra("from IPython.display import display\ndisplay(8.0)")]


def cells_before_the_setup(notebook):
    notebook["cells"].insert(0, extra("import sys\nsys.modules['autograder.check'] = sys\nsys.check = lambda *a: 8.0"))


def cells_dressed_as_checks(notebook):
    for name, points in (("rnn_step", 4), ("rnn_forward", 8), ("readout", 5)):
        dressed = {"grade": True, "grade_id": f"{name}_too", "points": points, "solution": False, "locked": False}
        notebook["cells"].append(extra(f"{points}.0", nbgrader={**dressed, "schema_version": 3, "cell_type": "code"}))


def other_kernel(notebook):
    notebook["metadata"]["kernelspec"] = {"name": "bash", "display_name": "sh -c 'touch owned'", "language": "bash"}
    notebook["metadata"]["language_info"] = {"name": "../../evil", "file_extension": ".sh"}


def other_format(notebook):
    notebook["nbformat"], notebook["nbformat_minor"] = 99, -1


def hidden_widget_state(notebook):
    state = {"state": {"x": {"model_name": "HTMLModel", "state": {"value": "<script>document.title = 1</script>"}}}}
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    for c in notebook["cells"]:
        c["attachments"] = {"x.svg": {"image/svg+xml": "<svg onload='document.title = 1'/>"}}


def ids_as_grade_ids(notebook):
    for c in notebook["cells"]:
        name = c["metadata"].pop("nbgrader", {}).get("grade_id")
        c["id"] = name or c["id"]
    notebook["cells"].append({**extra("8.0"), "id": "rnn_step"})


def solution_in_the_check(notebook):
    cell(notebook, "rnn_step")["source"] = STEP + "\ncheck('rnn_step', rnn_step)"


def other_handout(notebook):
    for c in graded(notebook):
        c["metadata"]["nbgrader"]["schema_version"] = 1
        c["metadata"]["nbgrader"]["checksum"] = "0" * 32
        c["metadata"]["nbgrader"]["locked"] = False
        c["source"] = "assert True"


def solution_cell_locked(notebook):
    mine = cell(notebook, "rnn_step_solution")
    mine["metadata"]["nbgrader"] |= {"locked": True, "solution": False, "grade": True, "points": 17}
    mine["source"] = "17.0"


def copies_that_disagree(notebook):
    first = cell(notebook, "rnn_step_solution")
    second = copy.deepcopy(first)
    second["source"] = "check = lambda *a: 8.0"
    notebook["cells"].insert(notebook["cells"].index(first) + 1, second)
    notebook["cells"].insert(0, copy.deepcopy(second))


def lines_added_to_the_setup(notebook):
    cell(notebook, "setup")["source"] += (
        "\n\ndef check(*a):\n    return 8.0\nimport autograder.check as c\nc.check = check"
    )


def outputs_handed_in(notebook):
    for c in notebook["cells"]:
        if c["cell_type"] == "code":
            c["execution_count"] = 1
            c["outputs"] = [
                {"output_type": "execute_result", "execution_count": 1, "data": {"text/plain": "8.0"}, "metadata": {}},
                {"output_type": "stream", "name": "stdout", "text": "8 of 8 points"},
            ]


def answer_taken_from_a_test(notebook):
    cell(notebook, "why_any_length")["metadata"]["nbgrader"]["grade_id"] = "readout"
    cell(notebook, "readout")["source"] = "5.0"


def sources_as_other_things(notebook):
    kinds = [None, 8.0, {"text": "8.0"}, ["8", 0, None], [["8.0"]], True, "8.0"]
    for i, c in enumerate(notebook["cells"]):
        c["source"] = kinds[i % len(kinds)]


def metadata_as_other_things(notebook):
    kinds = [None, [], "nbgrader", 0, {"nbgrader": "grade"}, {"nbgrader": {"grade_id": ["rnn_step"]}}]
    for i, c in enumerate(notebook["cells"]):
        c["metadata"] = kinds[i % len(kinds)]


EDITS = {
    "skip_tags": ("Tags on every cell by which tools skip, hide or forgive it.", skip_tags),
    "thousand_points": ("Is right in one question, and says that each is worth 1000 points.", thousand_points),
    "negative_points": ("Points that are negative, not a number, text or nothing.", negative_points),
    "other_flags": ("Turns every flag of nbgrader's around.", other_flags),
    "other_ids": ("Gives the checks ids that are paths, empty, another cell's, or end in a null.", other_ids),
    "swapped_ids": ("Swaps the metadata of a check and of its solution.", swapped_ids),
    "checks_answer_themselves": ("Writes the points where the checks were.", checks_that_answer_themselves),
    "checks_deleted": ("Deletes every check: no output, no error.", checks_deleted),
    "checks_twice": ("Hands in every check three times, one of them forged.", checks_twice),
    "backwards": ("Reverses all cells, so that its own check is defined after ours is imported.", backwards),
    "checks_as_markdown": ("Turns the checks into prose.", checks_as_markdown),
    "checks_as_raw": ("Turns the checks into raw cells.", checks_as_raw),
    "cells_after_the_test": ("Adds cells that show points right after each check.", cells_after_the_test),
    "cells_before_the_setup": ("Adds a cell before the setup that replaces autograder.check.", cells_before_the_setup),
    "cells_dressed_as_checks": ("Adds graded cells of its own, with points.", cells_dressed_as_checks),
    "other_kernel": ("Names another kernel and language, one of them a command.", other_kernel),
    "other_format": ("Says it is of notebook format 99.-1.", other_format),
    "hidden_widget_state": ("Hides script in widget state and in attachments.", hidden_widget_state),
    "ids_as_grade_ids": ("Moves grade ids into cell ids and adds a twin of a check.", ids_as_grade_ids),
    "solution_in_the_check": (
        "Writes a right solution into the check's cell, which is not the learner's.",
        solution_in_the_check,
    ),
    "other_handout": ("Hands in checks as of an older schema, with a wrong checksum and an empty test.", other_handout),
    "solution_cell_locked": ("Declares its solution cell to be a locked test worth 17 points.", solution_cell_locked),
    "copies_that_disagree": ("Copies of a solution cell before and after, which replace check.", copies_that_disagree),
    "lines_added_to_the_setup": ("Adds lines to the locked setup cell that replace check.", lines_added_to_the_setup),
    "outputs_handed_in": ("Hands in outputs that show full points.", outputs_handed_in),
    "answer_taken_from_a_test": ("Gives the written answer the id of a check.", answer_taken_from_a_test),
    "sources_as_other_things": ("Sources that are numbers, nulls, nested lists.", sources_as_other_things),
    "metadata_as_other_things": ("Metadata that are lists, text, null.", metadata_as_other_things),
}
POINTS = {"thousand_points": 4}
