"""The same attacks against stock nbgrader and against ours: what each earns, reads, breaks.

    python benchmarks/attacks.py [--only NAME] [--json FILE]

Each attack is one submission, graded beside an innocent neighbour who comes after it. Ours meets them all in one run;
for stock, what might end a run or outlive its submission gets a run of its own. Stock nbgrader has the tests that
an instructor would write (a shape, `np.allclose`, some of it hidden) and its default configuration. It runs untrusted
code unprotected, so here all of it stands inside bubblewrap: no network, no capability, nothing to write to but the
course, and limits on time, memory and processes. Linux only. Attacks that would burden the machine even so (fork bombs,
full disks) are left out; the tests have them.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import json
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COURSE = ROOT / "autograder/course"
BIN = Path(sys.executable).parent
SET, NEIGHBOUR, FULL, SECRET = "ps1_rnn", "zz_neighbour", 17.0, "canary-4711"
SECONDS = 90  # for one stock run of few submissions; what takes longer is said not to end
Notebook = dict[str, Any]

TESTS = {
    "rnn_step": """rng = np.random.default_rng(0)
x, h, W_ih, W_hh, b_ih, b_hh = (rng.normal(size=s) for s in [(3, 4), (3, 5), (5, 4), (5, 5), 5, 5])
expected = np.tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
assert rnn_step(x, h, W_ih, W_hh, b_ih, b_hh).shape == (3, 5)
assert np.allclose(rnn_step(x, h, W_ih, W_hh, b_ih, b_hh), expected)
""",
    "rnn_forward": """x, h0 = rng.normal(size=(6, 3, 4)), rng.normal(size=(3, 5))
states = [h0]
for x_t in x:
    states.append(np.tanh(x_t @ W_ih.T + b_ih + states[-1] @ W_hh.T + b_hh))
hs, h_last = rnn_forward(x, h0, W_ih, W_hh, b_ih, b_hh)
assert hs.shape == (6, 3, 5)
### BEGIN HIDDEN TESTS
assert np.allclose(hs, np.stack(states[1:])), "canary-4711"
assert np.allclose(h_last, states[-1])
### END HIDDEN TESTS
""",
    "readout": """hs, W, b = rng.normal(size=(4, 3, 5)), rng.normal(size=(6, 5)), rng.normal(size=6)
logits, probs = readout(hs, W, b)
assert np.allclose(logits, hs @ W.T + b)
assert np.allclose(probs.sum(axis=-1), 1)
### BEGIN HIDDEN TESTS
e = np.exp(hs @ W.T + b)
assert np.allclose(probs, e / e.sum(axis=-1, keepdims=True))
### END HIDDEN TESTS
""",
}
ZEROS = """import numpy as np
def rnn_step(x, h, *w): return np.zeros(h.shape)
def rnn_forward(x, h0, *w): return np.zeros((len(x), *h0.shape)), np.zeros(h0.shape)
def readout(hs, W, b): return np.zeros((*hs.shape[:2], len(W))), np.zeros((*hs.shape[:2], len(W)))
"""
SCRIPT = "<script>document.title = 1</script><img src=x onerror=document.title=1>"


@dataclass(frozen=True)
class Attack:
    """One submission: `text` of the first solution cell, an `edit` of the notebook, or files `beside` it."""

    kind: str
    name: str
    text: str = ""
    edit: Callable[[Notebook], None] | None = None
    beside: tuple[tuple[str, str], ...] = ()
    right: bool = False  # whether full marks are deserved
    alone: bool = False  # whether stock nbgrader gets it in a run of its own

    @property
    def student(self) -> str:
        """The folder's name, which comes before the neighbour's."""
        return re.sub(r"\W+", "_", self.name)

    raw: bytes = b""


def _cell(notebook: Notebook, name: str) -> dict[str, Any]:
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def _skip(notebook: Notebook) -> None:
    for name in TESTS:
        _cell(notebook, name)["metadata"]["tags"] = ["skip-execution"]


def _copied(notebook: Notebook) -> None:
    cell = _cell(notebook, "rnn_step")
    notebook["cells"].insert(notebook["cells"].index(cell), copy.deepcopy(cell))


def _flipped(notebook: Notebook) -> None:
    _cell(notebook, "rnn_step")["metadata"]["nbgrader"] |= {"locked": False, "solution": True, "grade": True}


def _scripted(notebook: Notebook) -> None:
    _cell(notebook, "why_any_length")["source"] = SCRIPT


ATTACKS = (
    Attack("forge the verdict", "np.allclose always says yes", ZEROS + "np.allclose = lambda *a, **k: True\n"),
    Attack(
        "forge the verdict",
        "an array that equals everything",
        ZEROS
        + """class Yes(np.ndarray):
    def __array_function__(self, function, *a, **k): return True
def wrapped(f):
    def g(*a):
        out = f(*a)
        return tuple(o.view(Yes) for o in out) if isinstance(out, tuple) else out.view(Yes)
    return g
rnn_step, rnn_forward, readout = map(wrapped, (rnn_step, rnn_forward, readout))
""",
    ),
    Attack(
        "forge the verdict",
        "an input transformer empties later cells",
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\n",
    ),
    Attack(
        "forge the verdict",
        "an AST transformer drops asserts",
        ZEROS
        + """import ast
class Drop(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Drop())
""",
    ),
    Attack(
        "forge the verdict",
        "a hook before every cell patches again",
        ZEROS + "get_ipython().events.register('pre_run_cell', lambda i: setattr(np, 'allclose', lambda *a: True))\n",
    ),
    Attack("edit the notebook", "tag `skip-execution` on the tests", edit=_skip),
    Attack("edit the notebook", "other flags on a test", edit=_flipped, alone=True),
    Attack(
        "read secrets",
        "prints every file of the course",
        """import glob, pathlib
for root in (".", "..", "../..", "../../.."):
    for name in glob.glob(root + "/**/canary*", recursive=True): print(pathlib.Path(name).read_text())
""",
    ),
    Attack("read secrets", "prints hidden tests from In", ZEROS + "def readout(*a): print(In)\n"),
    Attack(
        "read secrets",
        "calls the reference library",
        """import numpy as np
from rnnlib.cells import rnn
from rnnlib.losses import softmax
def rnn_step(*a): return rnn.step_forward(*a)[0]
def rnn_forward(*a): return rnn.forward(*a)[:2]
def readout(hs, W, b): return hs @ W.T + b, softmax(hs @ W.T + b)
""",
    ),
    Attack(
        "outlive the submission",
        "rewrites every score in the gradebook",
        """import glob, os, sqlite3
if os.fork() == 0:
    os.setsid()
    import time
    for _ in range(300):
        for name in glob.glob("../../../gradebook.db"):
            try:
                with sqlite3.connect(os.path.abspath(name)) as db: db.execute("update grade set auto_score = 0")
            except sqlite3.Error: pass
        time.sleep(0.05)
    os._exit(0)
""",
        alone=True,
    ),
    Attack(
        "outlive the submission",
        "an IPython start-up file for whoever comes next",
        """import os
folder = os.path.expanduser("~/.ipython/profile_default/startup")
os.makedirs(folder, exist_ok=True)
open(folder + "/00.py", "w").write("import numpy as np\\nnp.allclose = lambda *a, **k: False\\n")
""",
        alone=True,
    ),
    Attack(
        "outlive the submission",
        "numpy.py beside the notebook",
        ZEROS,
        beside=(
            (
                "numpy.py",
                "import sys\nsys.path.remove(next(p for p in sys.path if p in ('', __file__.rsplit('/', 1)[0])))\n"
                "del sys.modules['numpy']\nimport numpy\nnumpy.allclose = lambda *a, **k: True\n",
            ),
        ),
    ),
    Attack("break the run", "os._exit(0)", "import os\nos._exit(0)\n", alone=True),
    Attack("break the run", "kills the grader", "import os\nos.kill(os.getppid(), 9)\n", alone=True),
    Attack(
        "break the run",
        "a loop that catches everything",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n",
        alone=True,
    ),
    Attack("break the run", "20 MB in one line", "for _ in range(20): print('x' * 10**6, end='')\n", alone=True),
    Attack("break the run", "half a notebook", raw=b'{"cells": [', alone=True),
    Attack("hurt the reader", "script in an output", f"from IPython.display import HTML\ndisplay(HTML({SCRIPT!r}))\n"),
    Attack("hurt the reader", "script in the written answer", edit=_scripted),
    Attack("unfair zero", "right, with a RuntimeWarning", "np.log(np.zeros(1))\n", right=True),
    Attack("unfair zero", "right, and warns in its function", "import warnings\nwarnings.warn('w')\n", right=True),
    Attack("unfair zero", "right, with a test cell copied", edit=_copied, right=True, alone=True),
)


def _sample_class() -> Any:
    spec = importlib.util.spec_from_file_location("sample_class", COURSE / "sample_class.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SAMPLE = _sample_class()


def hand_in(course: Path, attacks: Sequence[Attack], handout: Notebook) -> None:
    """Lay out the attackers' folders and the neighbour's."""
    solved = {f"{name}_solution": text for name, text in zip(TESTS, SAMPLE.RIGHT["ada_plain"], strict=True)}
    for attack in attacks:
        notebook = copy.deepcopy(handout)
        if attack.right:
            line = attack.text.replace("\n", "\n    ").rstrip()
            for name, text in solved.items():
                _cell(notebook, name)["source"] = text.replace(":\n", f":\n    {line}\n", 1) if line else text
        elif attack.text:
            _cell(notebook, "rnn_step_solution")["source"] = attack.text
            for name in ("rnn_forward_solution", "readout_solution"):
                _cell(notebook, name)["source"] = ""
        if attack.edit:
            attack.edit(notebook)
        folder = _folder(course, attack.student)
        (folder / f"{SET}.ipynb").write_bytes(attack.raw or json.dumps(notebook).encode())
        for name, text in attack.beside:
            (folder / name).write_text(text)
    neighbour = copy.deepcopy(handout)
    for name, text in solved.items():
        _cell(neighbour, name)["source"] = text
    (_folder(course, NEIGHBOUR) / f"{SET}.ipynb").write_text(json.dumps(neighbour))
    for place in (course, _folder(course, NEIGHBOUR)):
        (place / "canary.txt").write_text(SECRET)


def _folder(course: Path, student: str) -> Path:
    folder = course / "submitted" / student / SET
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def handout(stock: bool) -> Notebook:
    """Ours, or the same with an instructor's plain tests."""
    notebook = json.loads((COURSE / f"release/{SET}/{SET}.ipynb").read_text())
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    if stock:
        notebook["cells"] = [c for c in notebook["cells"] if "explore" not in c["metadata"].get("tags", [])]
        for name, text in {"setup": "import numpy as np", **TESTS}.items():
            _cell(notebook, name)["source"] = text
        for cell in notebook["cells"]:
            cell["metadata"].get("nbgrader", {}).pop("checksum", None)
    return notebook


class Scripts(HTMLParser):
    """Whether a page has an element with our event handler."""

    found = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        self.found |= any(name == "onerror" for name, _ in attributes)


def outcome(course: Path, attack: Attack, ended: bool, watched: bool) -> str:
    """What an attack came to, in words: from the gradebook, the graded notebook and the page.

    Args:
        course, attack: whose, and which.
        ended: whether the run came to its end.
        watched: whether what happened to the neighbour is this attack's doing.
    """
    scores = _scores(course / "gradebook.db")
    score, neighbour = scores.get(attack.student), scores.get(NEIGHBOUR)
    said = ["the run does not end"] if not ended else []
    if score is None:
        said.append("not graded")
    else:
        said.append(f"{score:g} of {FULL:g}")
    graded = course / "autograded" / attack.student / SET / f"{SET}.ipynb"
    cells = json.loads(graded.read_text())["cells"] if graded.exists() else []
    tests = [c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") == "rnn_forward"]
    if SECRET in json.dumps([c.get("outputs") for c in cells if c not in tests]):
        said.append("reads the secret")
    page, reader = course / "feedback" / attack.student / SET / f"{SET}.html", Scripts()
    reader.feed(page.read_text() if page.exists() else "")
    if reader.found:
        said.append("its script is in the page")
    if watched and neighbour != FULL:
        said.append("the neighbour is not graded" if neighbour is None else f"the neighbour gets {neighbour:g}")
    return "; ".join(said)


def _scores(gradebook: Path) -> dict[str, float]:
    """Points of everybody who has all three of the machine's scores."""
    if not gradebook.exists():
        return {}
    query = (
        "select s.student_id, sum(g.auto_score) from grade g join submitted_notebook n on g.notebook_id = n.id"
        " join submitted_assignment s on n.assignment_id = s.id join base_cell b on g.cell_id = b.id"
        " where b.name in ('rnn_step', 'rnn_forward', 'readout')"
        " group by s.student_id having count(g.auto_score) = 3"
    )
    with sqlite3.connect(gradebook) as db:
        return dict(db.execute(query).fetchall())


def stock(attacks: Sequence[Attack]) -> dict[str, str]:
    """Grade with stock nbgrader, in a cage: what came of each, by name."""
    said = {}
    with tempfile.TemporaryDirectory(prefix="attacks-") as temporary:
        empty = Path(temporary, "empty")
        (empty / "source" / SET).mkdir(parents=True)
        (empty / "source" / SET / f"{SET}.ipynb").write_text(json.dumps(handout(stock=True)))
        (empty / "nbgrader_config.py").write_text('c = get_config()\nc.CourseDirectory.course_id = "stock"\n')
        caged(empty, f"nbgrader generate_assignment {SET} --force")
        released = json.loads((empty / "release" / SET / f"{SET}.ipynb").read_text())
        together = [attack for attack in attacks if not attack.alone]
        runs = [together] if together else []
        for i, run in enumerate([*runs, *([attack] for attack in attacks if attack.alone)]):
            course = Path(temporary, str(i))
            shutil.copytree(empty, course)
            hand_in(course, run, released)
            feedback = f"; nbgrader generate_feedback {SET} --force" if run is together else ""
            ended = caged(course, f"nbgrader autograde {SET}{feedback}; sleep 1", SECONDS * (1 + len(run) // 4))
            for attack in run:
                said[attack.name] = outcome(course, attack, ended, watched=attack.alone)
                print(f"stock: {attack.name}: {said[attack.name]}", file=sys.stderr, flush=True)
    return said


def caged(course: Path, commands: str, seconds: float = SECONDS) -> bool:
    """Run commands where nothing but the course can be written; say whether they ended in time."""
    limits = ["prlimit", "--as=4000000000", "--nproc=200", "--fsize=100000000", "--core=0"]
    cage = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    cage += ["--clearenv", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    cage += ["--size", str(64 << 20), "--tmpfs", "/tmp", "--dir", "/tmp/home", "--setenv", "HOME", "/tmp/home"]
    cage += ["--bind", str(course), "/tmp/course", "--chdir", "/tmp/course", "--setenv", "LANG", "C.UTF-8"]
    cage += ["--setenv", "PATH", f"{BIN}:/usr/bin:/bin", "--setenv", "OMP_NUM_THREADS", "1"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*limits, *cage, "--", "bash", "-c", commands], stdout=said, stderr=said)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
    return True


def ours(attacks: Sequence[Attack]) -> dict[str, str]:
    """Grade with `autograder grade`, all in one run, and write the feedback: what came of each, by name."""
    with tempfile.TemporaryDirectory(prefix="attacks-") as temporary:
        course = Path(temporary)
        for name in ("source", "release"):
            shutil.copytree(COURSE / name, course / name)
        shutil.copy(COURSE / "nbgrader_config.py", course)
        hand_in(course, attacks, handout(stock=False))
        for words in (["grade", SET], ["feedback", SET]):
            command = [sys.executable, "-m", "autograder.cli", *words, "--course", str(course)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return {attack.name: outcome(course, attack, True, watched=True) for attack in attacks}


def main() -> None:
    """Run every attack against both, print a Markdown table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME", help="attacks whose name contains this")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for program in ("bwrap", "prlimit"):
        if not shutil.which(program):
            parser.error(f"this needs {program}: stock nbgrader would run these attacks on the bare machine")
    chosen = [attack for attack in ATTACKS if options.only in attack.name]
    theirs, mine = stock(chosen), ours(chosen)
    print("| class | attack | deserves | stock nbgrader | ours |\n|---|---|---|---|---|")
    rows = []
    for attack in chosen:
        deserved = f"{FULL if attack.right else 0:g}"
        row = (attack.kind, attack.name, deserved, theirs[attack.name], mine[attack.name])
        rows.append(dict(zip(("class", "attack", "deserves", "stock", "ours"), row, strict=True)))
        print(f"| {' | '.join(row)} |")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
