"""Ordinary notebooks: what a learner may write without losing a point to the sandbox."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from autograder import wire
from autograder.run import CellRun, Limits, Sandbox, SandboxUnavailable, Unsandboxed

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    try:
        with Sandbox(Limits(cell_seconds=5, submission_seconds=20)) as box:
            yield box
    except SandboxUnavailable as reason:
        pytest.skip(str(reason))


def run_cells(box: Sandbox, *sources: str) -> list[CellRun]:
    outcome = box.run(sources, {})
    assert outcome.ended == "finished", outcome
    return [cell for cell in outcome.cells if cell is not None]


def test_outputs_are_what_jupyter_would_record(box: Sandbox) -> None:
    cells = run_cells(
        box,
        "print('a')\nprint('b')\n1 + 1",
        "display([1])",
        "1 / 0",
        "2;",
        "def broken(:",
        "import sys; sys.stderr.write('e')",
    )
    assert cells[0].outputs == [
        {"output_type": "stream", "name": "stdout", "text": "a\nb\n"},
        {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}, "execution_count": 1},
    ]
    assert cells[1].outputs == [{"output_type": "display_data", "data": {"text/plain": "[1]"}, "metadata": {}}]
    assert cells[2].outputs[0]["ename"] == "ZeroDivisionError"
    assert cells[2].error == "ZeroDivisionError: division by zero"
    assert "1 / 0" in "".join(cells[2].outputs[0]["traceback"])
    assert cells[3].outputs == []
    assert cells[4].error is not None
    assert cells[4].error.startswith("SyntaxError")
    assert cells[5].outputs[0] == {"output_type": "stream", "name": "stderr", "text": "e"}


def test_a_name_error_reads_as_python_says_it(box: Sandbox) -> None:
    assert run_cells(box, "x")[0].error == "NameError: name 'x' is not defined"


def test_after_an_error_the_following_cells_run(box: Sandbox) -> None:
    cells = run_cells(box, "import torch\nx = 1", "1 / 0", "import numpy as np\nnp.ones(2).sum()")
    assert cells[0].error == "ModuleNotFoundError: No module named 'torch'"
    assert cells[2].outputs[0]["data"]["text/plain"] == "np.float64(2.0)"


@pytest.mark.parametrize(
    "source",
    [
        "%matplotlib inline",
        "%matplotlib widget",
        "%config InlineBackend.figure_format = 'retina'",
        "%load_ext autoreload\n%autoreload 2",
        "%time sum(range(10))",
        "%%time\nx = 1",
        "%timeit -n1 -r1 1",
        "!ls",
        "x = !ls",
        "%pip install numpy",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nfig.savefig('figure.png')\nfig",
        "await __import__('asyncio').sleep(0)",
        "help(len)",
        "len?",
        "from IPython.display import clear_output, HTML\nprint(1)\nclear_output()\nHTML('<b>x</b>')",
        "import sys\nsys.setrecursionlimit(5000)",
        "import warnings\nwarnings.simplefilter('ignore')",
        "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
        "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(2) as pool:\n    pool.map(abs, [-1, 2])",
        "import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')",
        "import random, numpy as np\nrandom.random() + np.random.rand() + np.random.default_rng().random()",
        "import logging\nlogging.getLogger().warning('w')",
        "import pickle\nclass A: pass\npickle.loads(pickle.dumps(A()))",
    ],
)
def test_what_notebooks_commonly_do_raises_nothing(box: Sandbox, source: str) -> None:
    cells = run_cells(box, source, "print('after')")
    assert [cell.error for cell in cells] == [None, None]


def test_a_helper_written_beside_the_notebook_can_be_imported(box: Sandbox) -> None:
    cells = run_cells(box, "%%writefile helper.py\ny = 3", "import helper\nhelper.y")
    assert cells[1].outputs[0]["data"]["text/plain"] == "3"


def test_a_warning_is_text_and_not_an_error(box: Sandbox) -> None:
    cell = run_cells(box, "import numpy as np\nnp.log(np.zeros(1))")[0]
    assert cell.error is None
    assert "RuntimeWarning" in cell.outputs[0]["text"]


def test_endless_recursion_is_an_error_in_its_cell(box: Sandbox) -> None:
    cells = run_cells(box, "def f(): return f()\nf()", "1")
    assert cells[0].error is not None
    assert cells[0].error.startswith("RecursionError")
    assert cells[1].error is None


def test_except_exception_does_not_swallow_the_time_limit() -> None:
    loop = "import time\nwhile True:\n  try:\n    time.sleep(0.05)\n  except Exception: pass"
    with Sandbox(Limits(cell_seconds=0.5, submission_seconds=10)) as box:
        cells = run_cells(box, loop, "1")
    assert cells[0].error == "took longer than 0.5 s"


def test_answers_of_several_megabytes_survive_while_text_is_cut(box: Sandbox) -> None:
    sources = ["from autograder.check import check", "print('x' * 10**6)\ncheck('big', lambda n: n)"]
    sent = np.random.default_rng(0).normal(size=(300, 700))
    outcome = box.run(sources, {"big": [[[wire.encode(sent)]]]})
    cell = outcome.cells[1]
    assert cell is not None
    assert "output cut" in cell.outputs[0]["text"]
    np.testing.assert_array_equal(wire.decode(cell.outputs[1]["data"][wire.MIME]["answers"][0]["value"]), sent)


def test_two_runs_of_one_submission_are_equal(box: Sandbox) -> None:
    source = "import random, numpy as np\nprint(random.random(), np.random.rand(), {'a', 'b', 'c'}, hash('x'))"
    first, second = (run_cells(box, source)[0].outputs for _ in range(2))
    assert first == second


def test_a_submission_without_cells_is_finished(box: Sandbox) -> None:
    assert box.run([], {}).ended == "finished"


def test_unsandboxed_runs_the_same_and_says_so() -> None:
    with Unsandboxed(Limits(cell_seconds=1, submission_seconds=3)) as box:
        outcome = box.run(["from autograder.check import check", "check('d', abs)"], {"d": [[[wire.encode(-2.0)]]]})
        looped = box.run(["while True: pass", "print('after')"], {})
        ended = box.run(["import os; os._exit(5)"], {})
    cell = outcome.cells[1]
    assert not outcome.sandboxed
    assert cell is not None
    assert wire.decode(cell.outputs[0]["data"][wire.MIME]["answers"][0]["value"]) == 2.0
    assert looped.cells[0] is not None
    assert looped.cells[0].error == "took longer than 1 s"
    assert "exit code 5" in ended.detail


def test_a_fork_is_many_times_faster_than_a_fresh_process(box: Sandbox) -> None:
    sources = ["import numpy as np", *["np.ones((4, 4)) @ np.ones((4, 4))"] * 9]
    fresh = "from IPython.core.interactiveshell import InteractiveShell as S\ns = S.instance()\n"
    fresh += "".join(f"s.run_cell({source!r})\n" for source in sources)

    def seconds(times: int, action: object) -> float:
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            action()  # type: ignore[operator]
            taken.append(time.perf_counter() - started)
        return statistics.median(taken)

    forked = seconds(15, lambda: box.run(sources, {}))
    started = seconds(3, lambda: subprocess.run([sys.executable, "-c", fresh], capture_output=True, check=True))
    assert forked * 4 < started
