"""Unfair zero: correct submissions, each with something about it for which graders take points away.

`RIGHT` holds the text of solution cells by name; what is not there is `PLAIN`. `EDITS` change the notebook, `BYTES` the
file. All of these deserve full marks.
"""

import copy
import json

PLAIN = {
    "rnn_step": """def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
""",
    "rnn_forward": """def rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    h, hs = h0, []
    for t in range(len(x)):
        h = rnn_step(x[t], h, W_ih, W_hh, b_ih, b_hh)
        hs.append(h)
    return np.stack(hs), h
""",
    "readout": """def readout(hs, W, b):
    logits = hs @ W.T + b
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return logits, e / e.sum(axis=-1, keepdims=True)
""",
}
STEP, FORWARD, READOUT = PLAIN.values()

RIGHT = {
    "runtime_warning": (
        "Raises NumPy's RuntimeWarnings, which go to stderr.",
        {"readout": READOUT.replace("    e =", "    np.log(np.zeros(3)) / np.zeros(3)\n    e =")},
    ),
    "warning_filters": (
        "Makes warnings errors and floating-point trouble exceptions.",
        {
            "rnn_step": "import warnings\nwarnings.simplefilter('error')\nnp.seterr(over='raise', invalid='raise')\n"
            + STEP
        },
    ),
    "warnings_of_its_own": (
        "Warns, logs to stderr, and writes there itself.",
        {
            "rnn_step": "import logging, sys, warnings\nlogging.basicConfig(level=10)\n"
            + STEP.replace(
                "    return",
                "    warnings.warn('w')\n    logging.debug('d')\n    print('e', file=sys.stderr)\n    return",
            )
        },
    ),
    "prints_all_along": (
        "Prints at every step, and flushes, and overwrites its line.",
        {
            "rnn_forward": FORWARD.replace(
                "        hs.append", "        print(t, h, end='\\r', flush=True)\n        hs.append"
            )
        },
    ),
    "prints_very_much": (
        "Prints more than a cell may show.",
        {"rnn_forward": FORWARD.replace("    h, hs", "    print('x' * 300_000)\n    h, hs")},
    ),
    "changes_its_inputs": (
        "Uses its inputs as working memory and returns one of them.",
        {
            "rnn_step": STEP.replace("return np.tanh(", "h[...] = np.tanh(")
            + "    x[...] = W_ih[...] = np.nan\n    return h\n",
            "rnn_forward": FORWARD.replace("rnn_step(x[t], h, W_ih,", "rnn_step(x[t], h.copy(), W_ih.copy(),"),
        },
    ),
    "float32_inside": (
        "Computes in float32 throughout.",
        {
            "rnn_step": STEP.replace(
                "    return np.tanh(",
                "    x, h, W_ih, W_hh = (a.astype('f4') for a in (x, h, W_ih, W_hh))\n    return np.tanh(",
            ),
            "readout": READOUT.replace("hs @ W.T + b", "(hs.astype('f4') @ W.T.astype('f4') + b.astype('f4'))"),
        },
    ),
    "big_endian": (
        "Returns big-endian arrays and extended precision.",
        {
            "rnn_step": STEP.replace("return np.tanh(", "return np.asarray(np.tanh(").replace(
                "b_hh)\n", "b_hh), dtype='>f8')\n"
            ),
            "readout": READOUT.replace("return logits,", "return logits.astype(np.longdouble),"),
        },
    ),
    "views_that_are_not_contiguous": (
        "Returns transposed, reversed and strided views, and read-only ones.",
        {
            "rnn_step": STEP.replace("return np.tanh(", "wide = np.repeat(np.tanh(").replace(
                "b_hh)\n", "b_hh), 2, axis=1)\n    return wide[:, ::2]\n"
            ),
            "rnn_forward": FORWARD.replace(
                "return np.stack(hs), h",
                "hs = np.stack(hs[::-1], axis=-1).T.swapaxes(1, 2)[::-1]\n"
                "    hs.flags.writeable = False\n"
                "    return hs, hs[-1]",
            ),
        },
    ),
    "lists_for_arrays": (
        "Returns lists of arrays, lists of lists of numbers, and tuples.",
        {
            "rnn_forward": FORWARD.replace("np.stack(hs), h", "hs, h.tolist()"),
            "readout": READOUT.replace("return logits, e /", "return logits.tolist(), e /"),
        },
    ),
    "array_subclass": (
        "Returns masked arrays and matrices, which behave otherwise than arrays do.",
        {"rnn_forward": FORWARD.replace("np.stack(hs), h", "np.ma.array(np.stack(hs)), np.asmatrix(h)")},
    ),
    "named_tuple": (
        "Returns a named tuple.",
        {
            "rnn_forward": "from typing import NamedTuple\n"
            "class Out(NamedTuple):\n"
            "    hs: np.ndarray\n"
            "    h: np.ndarray\n" + FORWARD.replace("return np.stack(hs), h", "return Out(np.stack(hs), h)")
        },
    ),
    "slow_loops": (
        "Loops over every number in Python, and waits a little.",
        {
            "rnn_step": """import math, time
def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):
    time.sleep(0.05)
    out = [[0.0] * len(b_ih) for _ in x]
    for n in range(len(x)):
        for k in range(len(b_ih)):
            total = sum(W_ih[k][d] * x[n][d] for d in range(x.shape[1])) + b_ih[k] + b_hh[k]
            out[n][k] = math.tanh(total + sum(W_hh[k][j] * h[n][j] for j in range(h.shape[1])))
    return np.array(out)
"""
        },
    ),
    "recursion": (
        "Goes through time by recursion, with a limit of its own.",
        {
            "rnn_forward": """import sys
sys.setrecursionlimit(5000)
def rnn_forward(x, h0, *w):
    if len(x) == 0:
        return np.zeros((0, *h0.shape)), h0
    h = rnn_step(x[0], h0, *w)
    rest, last = rnn_forward(x[1:], h, *w)
    return np.concatenate([h[None], rest]), last
"""
        },
    ),
    "classes_and_closures": (
        "Hands over a bound method, a callable object and a partial function.",
        {
            "rnn_step": "class Cell:\n"
            "    def __call__(self, x, h, W_ih, W_hh, b_ih, b_hh):\n"
            "        return np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)\n"
            "    def run(self, x, h0, *w):\n"
            "        states = [h0]\n"
            "        for step in x:\n"
            "            states.append(self(step, states[-1], *w))\n"
            "        return np.array(states[1:]), states[-1]\n"
            "rnn_step = Cell()\n",
            "rnn_forward": "rnn_forward = rnn_step.run\n",
            "readout": "import functools\n"
            "def _readout(axis, hs, W, b):\n"
            "    z = hs @ W.T + b\n"
            "    e = np.exp(z - z.max(axis, keepdims=True))\n"
            "    return z, e / e.sum(axis, keepdims=True)\n"
            "readout = functools.partial(_readout, -1)\n",
        },
    ),
    "own_exceptions": (
        "Raises exceptions of its own, catches them, and lets one escape after its definitions.",
        {
            "rnn_step": "class Full(Exception): pass\n"
            + STEP.replace(
                "    return", "    try:\n        raise Full(x.shape)\n    except Full:\n        pass\n    return"
            )
            + "\nprint(rnn_step(1, 2, 3))\n"
        },
    ),
    "decorated": (
        "Measures and caches its functions with decorators, and vectorises tanh itself.",
        {
            "rnn_step": "import functools, time\n"
            "def timed(f):\n"
            "    @functools.wraps(f)\n"
            "    def inner(*a, **k):\n"
            "        start = time.perf_counter()\n"
            "        try: return f(*a, **k)\n"
            "        finally: print(f.__name__, time.perf_counter() - start)\n"
            "    return inner\n"
            "@timed\n" + STEP.replace("np.tanh(", "np.vectorize(lambda z: (np.exp(2 * z) - 1) / (np.exp(2 * z) + 1))(")
        },
    ),
    "names_of_builtins": (
        "Uses the names of builtins and of our modules as variables.",
        {
            "rnn_step": "sum, list, len_, type, dict, print_, input, str, int = range(9)\n"
            "ask = wire = judge = answers = None\n" + STEP
        },
    ),
    "stars_and_aliases": (
        "Imports everything from NumPy over the builtins, and renames it.",
        {
            "rnn_step": "from numpy import *\nimport numpy as numpy\nimport numpy as NP\nnp = NP\n"
            + STEP.replace("np.tanh", "tanh")
        },
    ),
    "unicode_identifiers": (
        "Writes its variables in Greek, with accents and subscripts, and its comments in emoji.",
        {
            "rnn_step": "def rnn_step(x, ħ, W_ih, W_hh, b_ih, b_hh):\n"
            "    ζ₁ = x @ W_ih.T + b_ih  # 🙂 \u202etfel ot thgir\n"
            "    return np.tanh(ζ₁ + ħ @ W_hh.T + b_hh)\n".replace("₁", "1")
        },
    ),
    "future_and_annotations": (
        "Begins with a __future__ import, annotations and a docstring full of quotes.",
        {
            "rnn_step": "from __future__ import annotations\nimport numpy.typing as npt\n"
            + STEP.replace("):\n", ") -> npt.NDArray:\n    '''It\\'s \"right\": \\\\ {x} %s </script>'''\n", 1)
        },
    ),
    "cell_magics": (
        "Times and captures its cells by magics, asks for help, and installs what is there.",
        {
            "rnn_step": "%%time\n" + STEP,
            "rnn_forward": "%%capture output\n" + FORWARD,
            "readout": "%matplotlib inline\n%pip install numpy\n!ls\nnp.tanh?\n%timeit -n 1 -r 1 1 + 1\n" + READOUT,
        },
    ),
    "autoreload": (
        "Switches autoreload on and sets options of display.",
        {
            "rnn_step": "%load_ext autoreload\n"
            "%autoreload 2\n"
            "%precision 3\n"
            "np.set_printoptions(precision=2, threshold=5)\n" + STEP
        },
    ),
    "threads": (
        "Computes its sequences in a pool of threads, and leaves a thread that ticks.",
        {
            "rnn_step": "import threading, time\n"
            "from concurrent.futures import ThreadPoolExecutor\n"
            "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
            "def rnn_step(x, h, *w):\n"
            "    W_ih, W_hh, b_ih, b_hh = w\n"
            "    with ThreadPoolExecutor(3) as pool:\n"
            "        return np.array(list(pool.map(lambda x, h: np.tanh(W_ih @ x + b_ih + W_hh @ h + b_hh), x, h)))\n"
        },
    ),
    "alarm_of_its_own": (
        "Sets an alarm of its own around its work and takes it back.",
        {
            "rnn_step": "import signal\n"
            + STEP.replace(
                "    return np.tanh(",
                "    signal.signal(signal.SIGALRM, lambda *a: None)\n    signal.alarm(3)\n    out = np.tanh(",
            )
            + "    signal.alarm(0)\n    return out\n"
        },
    ),
    "children": (
        "Starts a child process that computes something else, and forgets one.",
        {
            "rnn_step": "import os\nfrom multiprocessing import get_context\n"
            + STEP.replace("    return", "    if os.fork() == 0:\n        os._exit(0)\n    return")
        },
    ),
    "top_level_await": (
        "Awaits at top level, and drives a coroutine of its own.",
        {"rnn_step": "import asyncio\nawait asyncio.sleep(0.01)\n" + STEP},
    ),
    "plots_without_end": (
        "Draws pictures in its functions and never closes them.",
        {
            "rnn_forward": "import matplotlib.pyplot as plt\n"
            + FORWARD.replace("    return", "    plt.plot(h)\n    plt.title('h')\n    plt.show()\n    return")
        },
    ),
    "clears_its_output": (
        "Clears the output, shows progress and displays a table of its own.",
        {
            "rnn_forward": "from IPython.display import clear_output, display, HTML\n"
            + FORWARD.replace(
                "        hs.append",
                "        clear_output(wait=True)\n        display(HTML('<b>x</b>'))\n        hs.append",
            )
        },
    ),
    "random_state": (
        "Seeds the generators, draws from them, and asserts something about its result.",
        {
            "rnn_step": "import random\nnp.random.seed(0)\nrandom.seed(0)\n"
            + STEP.replace("    return np.tanh(", "    np.random.rand(5)\n    h = np.tanh(")
            + "    assert np.all(np.abs(h) <= 1)\n    return h\n"
        },
    ),
    "check_called_often": (
        "Asks check in its own cells, looks at the verdict and raises where it is not full.",
        {
            "readout": READOUT + "\n"
            "v = check('readout', readout)\n"
            "print(v, v.points, v.parts)\n"
            "if v.points > v.max_points: raise ValueError\n"
        },
    ),
    "memory_for_speed": (
        "Uses a hundred megabytes for a moment.",
        {
            "rnn_forward": FORWARD.replace(
                "    h, hs", "    scratch = np.zeros(12_000_000)\n    scratch[::1000] = 1\n    h, hs"
            )
        },
    ),
    "windows_line_ends": (
        "Was written with Windows line ends and tabs.",
        {"rnn_step": STEP.replace("    ", "\t").replace("\n", "\r\n")},
    ),
    "out_arguments": (
        "Writes into buffers that it keeps between calls of one shape.",
        {
            "rnn_step": "buffers = {}\n"
            "def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh):\n"
            "    z = buffers.setdefault(h.shape, np.empty(h.shape))\n"
            "    np.matmul(h.copy(), W_hh.T, out=z)\n"
            "    z += x @ W_ih.T\n"
            "    z += b_ih + b_hh\n"
            "    return np.tanh(z, out=z).copy()\n"
        },
    ),
    "debugger_left_in": (
        "Has a faulthandler, a trace function and tracemalloc switched on.",
        {
            "rnn_step": STEP + "import sys, tracemalloc\n"
            "tracemalloc.start()\n"
            "sys.settrace(lambda *a: None)\n"
            "import faulthandler\n"
            "faulthandler.enable()\n"
        },
    ),
}


def _cell(notebook, name):
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def copied_cells(notebook):
    for name in ("rnn_step_solution", "rnn_step", "setup"):
        mine = _cell(notebook, name)
        notebook["cells"].insert(notebook["cells"].index(mine), copy.deepcopy(mine))


def helpers_in_cells_of_its_own(notebook):
    mine = _cell(notebook, "rnn_step_solution")
    mine["source"] = mine["source"].replace("np.tanh", "squash")
    helper = {"cell_type": "code", "metadata": {}, "source": "squash = np.tanh\n", "outputs": [], "execution_count": 9}
    notebook["cells"].insert(notebook["cells"].index(mine), helper)


def split_into_two_cells(notebook):
    mine = _cell(notebook, "rnn_forward_solution")
    own = {"cell_type": "code", "metadata": {}, "source": mine["source"], "outputs": [], "execution_count": 9}
    mine["source"] = ""
    notebook["cells"].insert(notebook["cells"].index(mine) + 1, own)


def no_metadata(notebook):
    for c in notebook["cells"]:
        c["metadata"] = {}
        c.pop("id", None)


def sources_as_lines(notebook):
    for c in notebook["cells"]:
        c["source"] = c["source"].splitlines(keepends=True)


def explore_cells_deleted(notebook):
    notebook["cells"] = [c for c in notebook["cells"] if "explore" not in c["metadata"].get("tags", [])]


def failing_cells_between(notebook):
    for i in (9, 6, 4, 3):
        own = {"cell_type": "code", "metadata": {}, "source": "1 / 0\nimport seaborn, torch", "outputs": []}
        notebook["cells"].insert(i, own)


def old_format(notebook):
    notebook["nbformat_minor"] = 0
    for c in notebook["cells"]:
        c.pop("id", None)


EDITS = {
    "copied_cells": ("Has copies of a solution cell, of a check and of the setup.", copied_cells),
    "helper_cells": ("Keeps helpers in a cell of its own.", helpers_in_cells_of_its_own),
    "solution_in_a_new_cell": (
        "Wrote its solution into a new cell beneath the one meant for it.",
        split_into_two_cells,
    ),
    "no_metadata": ("Was saved by a tool that drops all metadata and ids.", no_metadata),
    "sources_as_lines": ("Was saved with sources as lists of lines.", sources_as_lines),
    "explore_cells_deleted": ("Has no cells for playing any more.", explore_cells_deleted),
    "failing_cells_between": ("Has failing experiments between the cells.", failing_cells_between),
    "old_format": ("Is of notebook format 4.0.", old_format),
}


def escaped(raw):
    cells = json.loads(raw)["cells"]
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    return text.replace("np.tanh", "".join(f"\\u{ord(letter):04x}" for letter in "np.tanh")).encode()


BYTES = {
    "byte_order_mark": ("Begins with a byte order mark.", lambda raw: b"\xef\xbb\xbf" + raw),
    "escaped_text": ("Was saved with every letter of its text escaped.", escaped),
}
