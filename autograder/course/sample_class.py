"""Make a sample class for ps1_rnn: right in several styles, wrong in named ways, hostile in several ways.

    python autograder/course/sample_class.py DIR

lays DIR out as a course root with everybody's submission. All students are invented. Each is one entry below: what
they wrote, and what the grader must find (`EXPECTED`), which the tests hold it to.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROBLEM_SET = "ps1_rnn"
Notebook = dict[str, Any]

STEP = """def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
"""
FORWARD = """def rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    h, hs = h0, []
    for t in range(x.shape[0]):
        h = rnn_step(x[t], h, W_ih, W_hh, b_ih, b_hh)
        hs.append(h)
    return np.stack(hs), h
"""
READOUT = """def readout(hs, W, b):
    logits = hs @ W.T + b
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return logits, e / e.sum(axis=-1, keepdims=True)
"""
ESSAY = "The weights are shared over time, so their number does not depend on T. The price: one state of H numbers."

# ---- right, in several styles --------------------------------------------------------------------------------------

RIGHT = {
    "ada_plain": (STEP, FORWARD, READOUT),
    "bert_einsum": (
        """def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    z = np.einsum("nd,hd->nh", x, W_ih) + np.einsum("nk,hk->nh", h, W_hh)
    z += b_ih
    z += b_hh
    return np.tanh(z)
""",
        """def rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    T, N, D = x.shape
    hs = np.zeros((T + 1, N, h0.shape[1]))
    hs[0] = h0
    for t in range(T):
        hs[t + 1] = rnn_step(x[t], hs[t], W_ih, W_hh, b_ih, b_hh)
    return hs[1:], hs[-1]
""",
        """def readout(hs, W, b):
    logits = np.einsum("tnh,vh->tnv", hs, W) + b
    log_z = np.logaddexp.reduce(logits, axis=2, keepdims=True)
    return logits, np.exp(logits - log_z)
""",
    ),
    "chen_loops": (
        """import math

def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    N, H = h.shape
    out = np.empty((N, H))
    for n in range(N):
        for k in range(H):
            total = b_ih[k] + b_hh[k]
            for d in range(x.shape[1]):
                total += W_ih[k, d] * x[n, d]
            for j in range(H):
                total += W_hh[k, j] * h[n, j]
            out[n, k] = math.tanh(total)
    return out
""",
        """def rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    states = [h0]
    for x_t in x:
        print("step", len(states))
        states.append(rnn_step(x_t, states[-1], W_ih, W_hh, b_ih, b_hh))
    return states[1:], states[-1]
""",
        """def readout(hs, W, b):
    logits = np.array([[W @ h + b for h in step] for step in hs])
    probs = np.empty_like(logits)
    for t in range(len(logits)):
        for n in range(logits.shape[1]):
            e = np.exp(logits[t, n] - max(logits[t, n]))
            probs[t, n] = e / sum(e)
    return logits, probs
""",
    ),
    "dora_float32": (
        STEP.replace("return np.tanh(", "return np.tanh(").replace(" + b_hh)", " + b_hh).astype(np.float32)"),
        FORWARD.replace("np.stack(hs), h", "np.stack(hs).astype(np.float32), h"),
        READOUT.replace("hs @ W.T + b", "(hs @ W.T + b).astype(np.float32)"),
    ),
    "emil_in_place": (
        """def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    b_ih += b_hh          # changes its own inputs
    x = x @ W_ih.T
    x += h @ W_hh.T
    x += b_ih
    h[...] = np.tanh(x)
    return h
""",
        """def rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    hs = np.empty((len(x),) + h0.shape)
    h = h0
    for t in range(len(x)):
        h = np.tanh(x[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        hs[t] = h
    x[:] = 0
    return hs, h
""",
        """def readout(hs, W, b):
    logits = hs @ W.T + b
    with_warning = np.log(np.zeros(1))     # a RuntimeWarning, and no reason to lose points
    z = logits - logits.max(-1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(-1, keepdims=True)
    return logits, z
""",
    ),
    "fay_own_helpers": (
        STEP.replace("np.tanh(", "squash("),
        FORWARD,
        READOUT.replace("    e = np.exp(logits - logits.max(axis=-1, keepdims=True))\n", "").replace(
            "e / e.sum(axis=-1, keepdims=True)", "my_softmax(logits)"
        ),
    ),
}

# ---- wrong, in named ways ------------------------------------------------------------------------------------------

WRONG: dict[str, tuple[tuple[str, str, str], dict[str, list[str]]]] = {
    "gil_transposed": (
        (STEP.replace("W_hh.T", "W_hh"), FORWARD, READOUT),
        {"rnn_step": ["recurrent_weights_not_transposed"], "rnn_forward": ["recurrent_weights_not_transposed"]},
    ),
    "hana_no_second_bias": (
        (STEP.replace(" + b_hh", ""), FORWARD, READOUT),
        {"rnn_step": ["recurrent_bias_forgotten"], "rnn_forward": ["recurrent_bias_forgotten"]},
    ),
    "ivo_amnesia": (
        (STEP, FORWARD.replace("h = rnn_step(x[t], h,", "h = rnn_step(x[t], h0,"), READOUT),
        {"rnn_forward": ["state_never_updated"]},
    ),
    "jin_off_by_one": (
        (
            STEP,
            FORWARD.replace(
                "h = rnn_step(x[t], h, W_ih, W_hh, b_ih, b_hh)\n        hs.append(h)",
                "hs.append(h)\n        h = rnn_step(x[t], h, W_ih, W_hh, b_ih, b_hh)",
            ),
            READOUT,
        ),
        {"rnn_forward": ["states_saved_too_early"]},
    ),
    "kim_batch_first": (
        (STEP, FORWARD.replace("np.stack(hs)", "np.stack(hs, axis=1)"), READOUT),
        {"rnn_forward": ["stacked_batch_first"]},
    ),
    "lea_ignores_h0": (
        (STEP, FORWARD.replace("h, hs = h0, []", "h, hs = 0 * h0, []"), READOUT),
        {"rnn_forward": ["starts_from_zero"]},
    ),
    "max_softmax_over_time": (
        (STEP, FORWARD, READOUT.replace("axis=-1", "axis=0")),
        {"readout": ["softmax_over_time"]},
    ),
    "nora_overflow": (
        (STEP, FORWARD, READOUT.replace(" - logits.max(axis=-1, keepdims=True)", "")),
        {"readout": ["softmax_not_shifted"]},
    ),
    "ola_two_mistakes": (
        (STEP.replace("W_hh.T", "W_hh").replace("np.tanh(", "1 / (1 + np.exp(-(") + "))\n", FORWARD, READOUT),
        {
            "rnn_step": ["recurrent_weights_not_transposed", "sigmoid_for_tanh"],
            "rnn_forward": ["recurrent_weights_not_transposed", "sigmoid_for_tanh"],
        },
    ),
    "pia_unwritten": (("", "", READOUT), {"rnn_step": [], "rnn_forward": []}),
    "quin_raises": (
        (STEP, FORWARD.replace("np.stack(hs), h", "np.stack(hs), hs[len(x)]"), READOUT),
        {"rnn_forward": []},
    ),
    "rosa_unknown_mistake": (
        (STEP.replace("np.tanh(", "0.9 * np.tanh("), FORWARD, READOUT),
        {"rnn_step": [], "rnn_forward": []},
    ),
}

# ---- hostile: code that runs before the functions, or instead of them ----------------------------------------------

HOSTILE = {
    "evil_patches_numpy": """import numpy as np, numpy.testing
np.allclose = np.array_equal = lambda *a, **k: True
np.testing.assert_allclose = lambda *a, **k: None
np.abs = lambda *a, **k: np.zeros(1)
""",
    "evil_claims_equality": """class Yes(np.ndarray):
    def __eq__(self, other): return True
    def __le__(self, other): return True
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return True
def rnn_step(*a): return np.zeros(a[1].shape).view(Yes)
def rnn_forward(*a): return rnn_step(*a), rnn_step(*a)
def readout(*a): return rnn_step(*a), rnn_step(*a)
""",
    "evil_forges_points": """import autograder.check
from IPython.display import display, publish_display_data
class Full:
    def __repr__(self): return "8.0"
def check(name, *functions):
    forged = {"question": name, "answers": [{"value": {"kind": "none"}}] * 6, "points": 8}
    publish_display_data({"application/vnd.rnn-notebooks.answers+json": forged})
    return Full()
autograder.check.check = check
""",
    "evil_hooks_the_cells": """ip = get_ipython()
def first(info):
    ip.user_ns["check"] = lambda *a: 8.0
ip.events.register("pre_run_cell", first)
ip.input_transformers_cleanup.append(lambda lines: ["8.0\\n"] if any("check(" in l for l in lines) else lines)
""",
    "evil_half_characters": """import json
whole = json.dumps
json.dumps = lambda *a, **k: whole(*a, **{**k, "ensure_ascii": True})
class Half(Exception): pass
def rnn_step(*a): raise Half("half a character: \\ud800")
""",
    "evil_exits": "import os\nos._exit(0)\n",
    "evil_loops": "while True:\n    try:\n        pass\n    except BaseException:\n        pass\n",
    "evil_fork_bomb": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
    "evil_eats_memory": "hoard = []\nwhile True:\n    hoard.append(np.ones(10_000_000))\n",
    "evil_floods": "while True:\n    print('x' * 1_000_000)\n",
    "evil_reads_the_course": """import glob, os, pathlib
for root in ("/", os.path.expanduser("~"), "..", "../../.."):
    for name in glob.glob(root + "/**/*.db", recursive=True) + glob.glob(root + "/**/ps1_rnn*", recursive=True):
        print(name, pathlib.Path(name).read_bytes()[:100])
print(dict(os.environ))
from rnnlib.cells import rnn
""",
}


def _skip_execution(notebook: Notebook) -> None:
    """Tags that make stock tools skip the tests, other points, other ids, and Markdown where code was."""
    for cell in notebook["cells"]:
        grader = cell["metadata"].get("nbgrader", {})
        if grader.get("grade"):
            cell["metadata"]["tags"] = ["skip-execution", "explore"]
            grader["points"] = 1000
            cell["source"] = "1000.0"


def _script_in_markdown(notebook: Notebook) -> None:
    _cell(notebook, "why_any_length")["source"] = (
        'Look: <script>document.title = "owned"</script> <img src=x onerror="document.title=1"> [x](javascript:1)'
        " ![x](http://nowhere.invalid/seen.png) [y][z]\n\n[z]: javascript:2"
    )


EDITED: dict[str, Callable[[Notebook], None]] = {
    "evil_edits_the_notebook": _skip_execution,
    "evil_scripts_the_reader": _script_in_markdown,
}

EXPECTED_FULL = sorted(RIGHT)
EXPECTED_BUGS = {student: bugs for student, (_, bugs) in WRONG.items()}
EXPECTED_NOTHING = sorted([*HOSTILE, *EDITED, "evil_broken_file", "evil_link"])


def make(course: Path) -> None:
    """Lay out a course root with the handout and the whole class."""
    course.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "nbgrader_config.py", course)
    for folder in ("source", "release"):
        shutil.copytree(HERE / folder, course / folder, dirs_exist_ok=True)
    for student, answers in RIGHT.items():
        notebook = _answered(*answers)
        if student == "fay_own_helpers":
            _add_helpers(notebook)
        _hand_in(course, student, notebook)
    for student, (answers, _) in WRONG.items():
        _hand_in(course, student, _answered(*answers))
    for student, attack in HOSTILE.items():
        notebook = _answered("", "", "")
        _cell(notebook, "rnn_step_solution")["source"] = attack
        _hand_in(course, student, notebook)
    for student, edit in EDITED.items():
        notebook = _answered("", "", "")
        edit(notebook)
        _hand_in(course, student, notebook)
    _folder(course, "evil_broken_file").joinpath(f"{PROBLEM_SET}.ipynb").write_text('{"cells": [' + "[" * 100_000)
    link = _folder(course, "evil_link") / f"{PROBLEM_SET}.ipynb"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/passwd")


def _answered(step: str, forward: str, readout: str) -> Notebook:
    """The handout with these functions written in; an empty text leaves the cell as it was handed out."""
    notebook = json.loads((HERE / "release" / PROBLEM_SET / f"{PROBLEM_SET}.ipynb").read_text())
    for name, text in (("rnn_step", step), ("rnn_forward", forward), ("readout", readout)):
        if text:
            _cell(notebook, f"{name}_solution")["source"] = text
    _cell(notebook, "why_any_length")["source"] = ESSAY
    return notebook


def _add_helpers(notebook: Notebook) -> None:
    helpers = (
        "def squash(z):\n    return np.tanh(z)\n\ndef my_softmax(z):\n    e = np.exp(z - z.max(-1, keepdims=True))\n"
        "    return e / e.sum(-1, keepdims=True)\n"
    )
    cell = {"cell_type": "code", "id": "mine", "metadata": {}, "source": helpers, "outputs": [], "execution_count": 3}
    notebook["cells"].insert(3, cell)


def _cell(notebook: Notebook, name: str) -> dict[str, Any]:
    return next(cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)


def _folder(course: Path, student: str) -> Path:
    folder = course / "submitted" / student / PROBLEM_SET
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _hand_in(course: Path, student: str, notebook: Notebook) -> None:
    _folder(course, student).joinpath(f"{PROBLEM_SET}.ipynb").write_text(json.dumps(notebook, indent=1))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {Path(__file__).name} DIR")
    make(Path(sys.argv[1]))
    print(f"{len(list((Path(sys.argv[1]) / 'submitted').iterdir()))} submissions in {sys.argv[1]}")
