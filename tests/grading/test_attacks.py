"""Every class of attack, handed in beside innocent neighbours and graded by the real command: nothing gets through.

The attacks lie in `attacks/`, a file a class. One run grades them all; each claim is made for each attack.
"""

import contextlib
import csv
import ctypes
import functools
import hashlib
import importlib.util
import io
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest

from autograder import cli, pipeline
from autograder.course_files import Course, id_of
from autograder.questions import questions_of
from autograder.report.pages import lesson_link
from autograder.run import CellRun, Outcome

pytestmark = pytest.mark.sandbox
SET = "ps1_rnn"
HERE = Path(__file__).parent
COURSE = HERE.parents[1] / "autograder/course"
FULL = 17.0
SEED = 1_729_362_514_908_771_563  # long: its digits are looked for in what attackers get to see
MARK = "attacker_was_here"
NEIGHBOURS = [f"{prefix}_neighbour" for prefix in ("a", "c", "f", "g", "n", "p", "s", "zz")]
LESSONS = tuple(filter(None, (lesson_link(q.lesson) for q in questions_of(SET).values())))  # the only sites linked to
PR_SET_CHILD_SUBREAPER = 36
KINDS = {
    "forge": "forge_verdict",
    "edit": "edit_notebook",
    "read": "read_secrets",
    "outlive": "outlive",
    "break": "break_run",
    "hurt": "hurt_reader",
}
RAN = ("finished", "deadline", "died", "output limit")
SUCCESS = re.compile(  # how attacks that try to read or to reach something begin the line that says they could
    r"^(found|reached|read|traced|changed|typed|fetched|resolved|mounted|unshared|shared|opened|kept|ring|chroot|"
    r"memory file|syscall|fanotify|disk|heap|seed is)\b",
    re.MULTILINE,
)


def load(name):
    spec = importlib.util.spec_from_file_location(f"attacks_{name}", HERE / f"attacks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Submission:
    """What is handed in: the folder's name, how it is filled, and what its grading must find."""

    folder: str
    hand_in: object
    points: float = 0.0
    ends: tuple = RAN

    @property
    def student(self):
        return id_of(self.folder)


def cell(notebook, name):
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == name)


def as_notebook(*edits):
    """How to hand in a handout that these functions have changed."""

    def hand_in(folder, handout):
        notebook = json.loads(handout)
        for c in notebook["cells"]:
            c["source"] = "".join(c["source"])
        for edit in edits:
            edit(notebook)
        (folder / f"{SET}.ipynb").write_text(json.dumps(notebook))

    return hand_in


def with_text(texts):
    def edit(notebook):
        for name, text in texts.items():
            cell(notebook, name)["source"] = text

    return edit


def submissions():
    """All attacks and all that look like one, by folder."""
    found = [Submission(folder, as_notebook()) for _, folder in load("hurt_reader").NAMES.values()]
    for kind, module in KINDS.items():
        has = {"CELLS": {}, "EDITS": {}, "WRITTEN": {}, "FILES": {}, "POINTS": {}, "ENDS": {}, **vars(load(module))}
        handed_in = {n: as_notebook(with_text({"rnn_step_solution": t})) for n, (_, t) in has["CELLS"].items()}
        handed_in |= {n: as_notebook(change) for n, (_, change) in has["EDITS"].items()}
        handed_in |= {n: as_notebook(with_text({"why_any_length": t})) for n, (_, t) in has["WRITTEN"].items()}
        handed_in |= {n: fill for n, (_, fill) in has["FILES"].items()}
        for name, hand_in in handed_in.items():
            found.append(
                Submission(f"{kind}_{name}", hand_in, has["POINTS"].get(name, 0.0), has["ENDS"].get(name, RAN))
            )
    unfair = load("unfair_zero")
    plain = solved(unfair.PLAIN)
    right = {name: as_notebook(plain, solved(own)) for name, (_, own) in unfair.RIGHT.items()}
    right |= {name: as_notebook(plain, change) for name, (_, change) in unfair.EDITS.items()}
    right |= {name: as_bytes(plain, change) for name, (_, change) in unfair.BYTES.items()}
    return found + [Submission(f"unfair_{name}", hand_in, FULL, ("finished",)) for name, hand_in in right.items()]


def solved(texts):
    return with_text({f"{name}_solution": text for name, text in texts.items()})


def as_bytes(edit, change):
    def hand_in(folder, handout):
        notebook = json.loads(handout)
        edit(notebook)
        (folder / f"{SET}.ipynb").write_bytes(change(json.dumps(notebook).encode()))

    return hand_in


ALL = submissions()
ATTACKS = [one for one in ALL if one.points < FULL]
by_name = pytest.mark.parametrize("one", ALL, ids=lambda one: one.student)
by_attack = pytest.mark.parametrize("one", ATTACKS, ids=lambda one: one.student)


def hand_in_all(root, found, token):
    """A course root with these submissions, and the neighbours before, between and after."""
    handout = (COURSE / f"release/{SET}/{SET}.ipynb").read_bytes()
    root.mkdir()
    shutil.copy(COURSE / "nbgrader_config.py", root)
    for folder in ("source", "release"):
        shutil.copytree(COURSE / folder, root / folder)
    plain = load("unfair_zero").PLAIN
    texts = {f"{name}_solution": f"# canary-{token}\n{text}" for name, text in plain.items()}
    innocent = as_notebook(with_text({**texts, "why_any_length": f"It is shared: canary-{token}."}))
    for one in [*found, *(Submission(name, innocent) for name in NEIGHBOURS)]:
        folder = root / "submitted" / one.folder / SET
        folder.mkdir(parents=True)
        one.hand_in(folder, handout)
    (root / "submitted" / NEIGHBOURS[0] / SET / f"canary-{token}.ipynb").write_text("{}")  # its name is a secret too
    return root


@dataclass
class Run:
    """What one grading of everything left to look at."""

    course: Path
    token: str
    status: int
    printed: str
    said: str
    records: dict
    before: dict
    after: dict
    left_over: list
    alone: dict


def command(*arguments):
    return cli.main([str(argument) for argument in arguments])


def grade(course, *more):
    path = course.parent / f"{course.name}.json"
    limits = ("--cell-seconds", 2.5, "--submission-seconds", 7)
    status = command("grade", SET, "--course", course, "--seed", SEED, "--json", path, *limits, *more)
    return status, {record["student"]: record for record in json.loads(path.read_text())}


def snapshot(base):
    """Everything below `base` that grading has no business to change: kind, mode and content by path."""
    written = {"autograded", "feedback", "report", "journal", "gradebook.db", f"{SET}.seed", f"{SET}.lock"}
    found = {}
    for folder, folders, names in os.walk(base):
        folders[:] = [name for name in folders if name not in written]
        for name in [*folders, *(name for name in names if name not in written)]:
            path = Path(folder, name)
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[str(path.relative_to(base))] = (status.st_mode, hashlib.sha256(content).hexdigest())
    return found


@pytest.fixture(scope="module")
def run():
    base = Path(tempfile.mkdtemp(prefix="attacks-"))
    base.chmod(0o755)  # only the sandbox stands between a submission and all that is planted here
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    token = secrets.token_hex(12)
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, base)
        course = hand_in_all(base / "course", ALL, token)
        for folder, mode in {"home": 0o755, "temp": 0o755, "course/private": 0o700}.items():
            (base / folder).mkdir(mode)
        for path in ("home/.canary", "temp/canary.txt", "course/canary.txt", "course/private/canary.txt"):
            (base / path).write_text(f"canary-{token}")
        for name, value in {"HOME": base / "home", "TMPDIR": base / "temp", "XDG_CACHE_HOME": cache}.items():
            patch.setenv(name, str(value))
        patch.setenv("CANARY", f"canary-{token}")
        patch.setattr(tempfile, "tempdir", str(base / "temp"))
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # whoever loses its parent becomes ours
        stack.callback(ctypes.CDLL(None).prctl, PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        children = set(psutil.Process().children(recursive=True))
        before = snapshot(base)
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as said:
            status, records = grade(course, "--workers", 2)
        (base / "course.json").unlink()
        left_over = [
            " ".join(child.cmdline())
            for child in set(psutil.Process().children(recursive=True)) - children
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline())
        ]
        after = snapshot(base)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(said):
            for name in ("feedback", "report"):
                assert command(name, SET, "--course", course) == 0
            for kind in ("nbgrader", "canvas", "moodle"):
                command("export", SET, "--course", course, "--format", kind)
            _, alone = grade(hand_in_all(base / "alone", [], token))
        yield Run(course, token, status, printed.getvalue(), said.getvalue(), records, before, after, left_over, alone)


def test_there_are_at_least_a_hundred_distinct_attacks():
    assert len(ATTACKS) >= 100
    assert len({one.student for one in ALL}) == len(ALL)
    texts = [text for module in KINDS.values() for _, text in vars(load(module)).get("CELLS", {}).values()]
    assert len(set(texts)) == len(texts)


def test_correct_submissions_that_graders_punish_are_at_least_a_dozen():
    assert sum(one.points == FULL for one in ALL) >= 12


def test_everybody_is_graded(run):
    assert set(run.records) == {one.student for one in ALL} | set(NEIGHBOURS)


@by_name
def test_points_are_those_deserved(run, one):
    record = run.records[one.student]
    assert record["points"] == one.points, (record["ended"], record["detail"], record["questions"])
    assert record["max_points"] == FULL


@by_name
def test_it_is_graded_with_a_reason(run, one):
    record = run.records[one.student]
    assert record["sandboxed"]
    assert record["detail"]
    assert record["ended"] in one.ends, record["detail"]
    for entry in record["questions"].values():
        assert entry["points"] == entry["max_points"] or entry["message"]
        assert 0 <= entry["points"] <= entry["max_points"]


@by_attack
def test_it_has_seen_no_secret(run, one):
    shown = json.dumps(run.records[one.student])
    for path in (run.course / "autograded", run.course / "feedback"):
        shown += "".join(file.read_text() for file in (path / one.student / SET).iterdir())
    assert run.token not in shown
    assert str(SEED) not in shown
    assert str(run.course) not in shown
    notebook = json.loads((run.course / "autograded" / one.student / SET / f"{SET}.ipynb").read_text())
    texts = ["".join(output.get("text", "")) for c in notebook["cells"] for output in c.get("outputs", [])]
    assert not SUCCESS.search("\n".join(texts))


def test_the_grader_itself_fails_on_nothing(run):
    assert run.status == 0
    assert "grader failed" not in {record["ended"] for record in run.records.values()}


def test_neighbours_get_what_they_get_without_attackers(run):
    assert set(run.alone) == set(NEIGHBOURS)
    for name in NEIGHBOURS:
        assert run.alone[name]["points"] == FULL
        assert run.records[name] == run.alone[name]


def test_nothing_on_the_host_is_changed(run):
    assert run.after == run.before


@pytest.mark.parametrize("folder", ["/", "/tmp", "/var/tmp", "/dev/shm", "/run", "~", "/var/cache", "."])
def test_no_mark_is_left_on_the_host(run, folder):
    assert not Path(folder).expanduser().joinpath(MARK).exists()
    assert not list(run.course.rglob(MARK))


def test_no_process_outlives_the_run(run):
    assert run.left_over == []


def test_what_the_command_prints_moves_no_cursor_and_tells_no_secret(run):
    assert all(character.isprintable() or character == "\n" for character in run.printed)
    assert "\x1b" not in run.said
    assert run.token not in run.printed + run.said
    assert str(SEED) not in run.printed + run.said


QUIET = (
    "html head meta title style body header main nav section details summary h1 h2 h3 h4 h5 h6 p div span a img pre "
    "code strong em del mark br hr blockquote ul ol li table caption thead tbody tr th td"
)


class Reader(HTMLParser):
    """Collects what a page would do in a browser beside showing text."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        if tag not in QUIET.split():
            self.found.append(tag)
        for name, value in attributes:
            value = value or ""
            link = {
                "href": ("#", "../feedback/", *LESSONS),
                "src": ("data:image/png;base64,", "data:image/jpeg;base64,"),
            }
            if name.startswith("on") or name in ("srcdoc", "action", "formaction", "xlink:href", "background", "ping"):
                self.found.append((tag, name, value))
            if name in link and not value.startswith(link[name]):
                self.found.append((tag, name, value))
            if tag == "meta" and name == "name" and value not in ("viewport", "referrer"):
                self.found.append((tag, name, value))
            if name == "http-equiv" and value != "Content-Security-Policy":
                self.found.append((tag, name, value))
            if name == "style" and ("url" in value or "position" in value):
                self.found.append((tag, name, value))


@functools.cache
def page_does(path):
    reader = Reader()
    reader.feed(path.read_text())
    return reader.found


@by_name
def test_its_page_is_text_and_pictures(run, one):
    page = run.course / "feedback" / one.student / SET / f"{SET}.html"
    assert page_does(page) == []
    assert "default-src 'none'" in page.read_text()
    assert page.stat().st_size < 30 << 20


def test_the_class_report_is_text_and_pictures(run):
    assert page_does(run.course / f"report/{SET}.html") == []


@by_attack
def test_its_graded_notebook_holds_no_markup_that_runs(run, one):
    """Formgrader shows it: outputs of learners are text and pictures, and written answers have no tag left."""
    notebook = json.loads((run.course / "autograded" / one.student / SET / f"{SET}.ipynb").read_text())
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}
    for c in notebook["cells"]:
        verdict = c["metadata"].get("nbgrader", {}).get("grade")
        for output in c.get("outputs", []):
            allowed = {"text/plain", "text/html"} if verdict else {"text/plain", "image/png", "image/jpeg"}
            assert set(output.get("data", {})) <= allowed
        if c["cell_type"] == "markdown" and c["metadata"].get("nbgrader"):
            reader = Reader()
            reader.feed("".join(c["source"]))
            assert reader.found == []


@pytest.mark.parametrize("kind", ["nbgrader", "canvas", "moodle"])
def test_exported_grades_hold_no_formula(run, kind):
    with (run.course / f"report/{SET}-{kind}.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert len(lines) > len(ALL)
    for line in lines:
        for text in line:
            assert (
                not text.lstrip().startswith(("=", "+", "-", "@", "\t")) or text.lstrip("-").replace(".", "").isdigit()
            )


def test_one_text_cut_into_other_cells_gets_other_inputs():
    """Where to cut is a message of one bit: enough cuts would carry answers learnt from an earlier hand-in."""
    released = Course.at(COURSE).released(SET)
    asked = []

    class Sandbox:
        def run(self, sources, inputs):
            asked.append(inputs)
            return Outcome("finished", "", [CellRun([], None, 0.0) for _ in sources], True)

    def own(source):
        return {"cell_type": "code", "id": secrets.token_hex(4), "metadata": {}, "source": source, "outputs": []}

    for cuts in (["%%writefile x\n1\0print(2)"], ["%%writefile x\n1", "print(2)"]):
        notebook = {**released, "cells": [*released["cells"], *map(own, cuts)]}
        raw = json.dumps(notebook).encode()
        pipeline.grade(raw, released, questions_of(SET), SEED, Sandbox())
    assert asked[0] != asked[1]


def test_a_long_or_odd_folder_name_stops_nobody(tmp_path):
    names = ["\x01" * 80, "é" * 120, "x" * 255, "\udcff" * 60]
    root = hand_in_all(tmp_path / "course", [Submission(name, as_notebook()) for name in names], "")
    for neighbour in NEIGHBOURS[1:-1]:
        shutil.rmtree(root / "submitted" / neighbour)
    status, records = grade(root, "--workers", 1)
    assert status == 0
    assert len(records) == len(names) + 2
    assert records[NEIGHBOURS[0]]["points"] == records[NEIGHBOURS[-1]]["points"] == FULL
