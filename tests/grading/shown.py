"""What a notebook shows once it has run."""

from tests.conftest import ROOT, load


def executed(path):
    """By cell: the data of its outputs, the last of a kind; and, as "printed", all that it printed.

    An error, or a word on stderr, fails the test.
    """
    notebook = load(ROOT / ".ci/pages.py").execute(path)
    outputs = [(cell.id, output) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for _, output in outputs if output.output_type == "error"]
    assert not [output for _, output in outputs if output.get("name") == "stderr"]
    shown: dict[str, dict[str, str]] = {}
    for cell, output in outputs:
        here = shown.setdefault(cell, {"printed": ""})
        here.update(output.get("data", {}))
        here["printed"] += output.get("text", "")  # it may come in several pieces
    return shown
