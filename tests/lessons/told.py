"""What the lessons' tests read: a notebook's cells, and what they print and leave behind when they run."""

import contextlib
import io
import json
import re
from unittest import mock

from rnnlib.studies.study import Study


def cells_of(lesson, kind=None):
    """By id the source of a notebook's cells, or of those of one kind."""
    cells = json.loads(lesson.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: "".join(cell["source"]) for cell in cells if kind in (None, cell["cell_type"])}


def run(lesson, leave_out=(), change=lambda source: source, **names):
    """What each code cell prints, and all names at the end; a study that would run live shows what was kept of it.

    (Live it runs in test_every_notebook and in the browser.)

    Args:
        lesson: the notebook's path.
        leave_out: ids of cells not to run, beside that which installs the course.
        change: source -> the source that is run, where a test has no time for what a reader waits for.
        names: known beforehand.
    """
    texts = {}
    with mock.patch.object(Study, "run", lambda study, **_: study.kept()):
        for name, source in cells_of(lesson, "code").items():
            if name not in ("install", *leave_out):
                with contextlib.redirect_stdout(io.StringIO()) as out:
                    exec(compile(change(source), f"<{name}>", "exec"), names)
                texts[name] = out.getvalue()
    return texts, names


def numbers(text):
    """The numbers in a text, in order."""
    return [float(n) for n in re.findall(r"[-+]?\d*\.?\d+(?:e[-+]\d+)?", text)]
