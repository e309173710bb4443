"""The second way to run a submission, a fresh sandboxed kernel: the same verdicts and walls, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import numpy as np
import psutil
import pytest

from autograder import wire
from autograder.course_files import Course
from autograder.doctor import examine
from autograder.pipeline import Graded, grade
from autograder.questions import questions_of
from autograder.run import (
    KernelSandbox,
    Limits,
    Outcome,
    Sandbox,
    SandboxUnavailable,
    cgroup,
    inside,
    probe,
    provisioner,
)
from autograder.run import kernel as kernel_room
from autograder.run.relay import Relay

pytestmark = pytest.mark.sandbox

SET = "ps1_rnn"
LIMITS = Limits(cell_seconds=1, submission_seconds=3, memory_bytes=1 << 30)
CHECKS = ["import numpy as np\nfrom autograder.check import check", "check('d', lambda x: 2 * x)"]
CASES = {"d": [[[wire.encode(np.arange(3.0))]]]}
UNHURT = ("ada_plain", "emil_in_place", "fay_own_helpers", "gil_transposed", "quin_raises")
QUICK_ATTACKS = (
    "evil_patches_numpy",
    "evil_claims_equality",
    "evil_forges_points",
    "evil_hooks_the_cells",
    "evil_half_characters",
    "evil_exits",
)
SLOW_ATTACKS = ("evil_loops", "evil_fork_bomb")


@pytest.fixture(scope="module")
def fork() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as box:
        yield box


@pytest.fixture(scope="module")
def kernel() -> KernelSandbox:
    try:
        return KernelSandbox(LIMITS)
    except SandboxUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def course(sample_class: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Course:
    root = tmp_path_factory.mktemp("course")
    sample_class.make(root)
    return Course.at(root)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Every test here: afterwards no process, folder or descriptor more than before."""
    before = left_over()
    yield
    until = time.monotonic() + 5
    while left_over() - before and time.monotonic() < until:
        time.sleep(0.05)
    assert left_over() - before == set()


def left_over() -> set[str]:
    folders = {str(path) for path in Path(tempfile.gettempdir()).glob("kernel-*") if owned(path)}
    children = psutil.Process().children(recursive=True)
    return folders | {f"process {child.pid}" for child in children}


def owned(path: Path) -> bool:
    """Whether this test run made it: other runs may be under way on this machine."""
    try:
        return path.stat().st_ctime >= psutil.Process().create_time() and path.name in MADE
    except OSError:
        return False


MADE: set[str] = set()


@pytest.fixture(autouse=True)
def remember_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    make = tempfile.mkdtemp

    def remembering(*arguments: str, **more: str) -> str:
        made = make(*arguments, **more)
        MADE.add(Path(made).name)
        return made

    monkeypatch.setattr(provisioner.tempfile, "mkdtemp", remembering)


def graded(course: Course, student: str, box: Sandbox) -> Graded:
    raw = (course.root / "submitted" / student / SET / f"{SET}.ipynb").read_bytes()
    return grade(raw, course.released(SET), questions_of(SET), 7, box)


def printed(outcome: Outcome, cell: int = -1) -> str:
    run = outcome.cells[cell]
    assert run is not None, outcome
    return "".join(output["text"] for output in run.outputs if output.get("name") == "stdout")


# The same verdicts


@pytest.mark.parametrize("student", [*UNHURT, *QUICK_ATTACKS])
def test_both_ways_give_the_same_verdicts_and_show_the_same(
    student: str, course: Course, fork: Sandbox, kernel: Sandbox
) -> None:
    forked, fresh = (graded(course, student, box) for box in (fork, kernel))
    assert fresh.verdicts == forked.verdicts
    assert (fresh.ended, fresh.detail, fresh.sandboxed) == (forked.ended, forked.detail, True)
    assert fresh.notebook == forked.notebook
    assert (sum(verdict.points for verdict in fresh.verdicts) > 0) == (student in UNHURT)


@pytest.mark.parametrize("student", SLOW_ATTACKS)
def test_both_ways_end_an_attack_that_lasts(student: str, course: Course, fork: Sandbox, kernel: Sandbox) -> None:
    forked, fresh = (graded(course, student, box) for box in (fork, kernel))
    assert [verdict.points for verdict in fresh.verdicts] == [verdict.points for verdict in forked.verdicts] == [0] * 3
    assert fresh.detail


# Walls


def test_the_probe_finds_every_wall_standing_around_a_kernel() -> None:
    assert probe(KernelSandbox).startswith("sandbox works: bubblewrap")


def test_a_kernel_is_unprivileged_and_sees_nothing_of_the_host(kernel: Sandbox) -> None:
    source = """
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(ctypes.byref(header), ctypes.byref(data))
denied = {libc.unshare(0x10000000), libc.mount(b"none", b"/scratch", b"tmpfs", 0, None), libc.setuid(0),
          libc.ptrace(16, 1, 0, 0), libc.memfd_create(b"m", 0), libc.chroot(b"/scratch")}
wrote = []
for folder in ["/", "/env", "/env/packages/ipykernel", "/code", "/dev", "/proc", "/tmp", "."]:
    try:
        open(os.path.join(folder, "left"), "w").close()
        wrote.append(folder)
    except OSError:
        pass
print(os.getuid() == 0, any(data), denied, wrote, os.listdir("/proc"), os.getppid(), os.uname().nodename)
print([name for name in os.environ if name.startswith(("JPY_", "SSH", "XDG", "PYTEST"))])
"""
    assert printed(kernel.run([source], {})) == "False False {-1} ['.'] [] 0 sandbox\n[]\n"


def test_a_kernel_holds_no_socket_but_its_channels_and_reaches_none_of_ours(kernel: Sandbox) -> None:
    source = """
import os, socket, stat
kinds = set()
for descriptor in range(3, 128):
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        continue
    if stat.S_ISSOCK(mode):
        name = socket.socket(fileno=os.dup(descriptor)).getsockname()
        kinds.add(os.path.basename(name)[:2] if isinstance(name, str) else name)
        try:
            socket.socket(socket.AF_UNIX).connect(name)
            print("reached", name)
        except (OSError, TypeError):
            pass
print(sorted(map(str, kinds - {""})))
"""
    assert printed(kernel.run([source], {})) == "['k-']\n"


def test_a_submission_finds_nothing_of_the_one_before(kernel: Sandbox) -> None:
    leave = (
        "import os, builtins\nopen('numpy.py', 'w').write('1/0')\nbuiltins.leaked = 1\nif not os.fork(): os.setsid()"
    )
    look = "import builtins, os\nprint(hasattr(builtins, 'leaked'), [n for n in os.listdir('.') if n[0] != '.'])"
    kernel.run([leave], {})
    assert printed(kernel.run([look], {})) == "False []\n"


def test_a_kernel_whose_locks_do_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = inside.contents()
    broken["autograder/run/jail.py"] += b"\n\ndef lock(limits):\n    raise PermissionError('no filter')\n"
    monkeypatch.setattr(inside, "contents", lambda: broken)
    with pytest.raises(SandboxUnavailable, match="locks do not hold"):
        KernelSandbox(LIMITS)


def test_a_kernel_whose_walls_cannot_be_put_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = inside.contents()
    broken["autograder/run/jail.py"] += b"\n\ndef enter(scratch_bytes):\n    raise PermissionError('no namespaces')\n"
    monkeypatch.setattr(inside, "contents", lambda: broken)
    with pytest.raises(SandboxUnavailable, match="no namespaces"):
        KernelSandbox(LIMITS)


# Attacks on the kernel itself


def test_a_kernel_that_dies_keeps_the_cells_before(kernel: Sandbox) -> None:
    outcome = kernel.run(["print('first')", "import os\nos._exit(3)", "print('never')"], {})
    assert (outcome.ended, outcome.cells[2]) == ("died", None)
    assert "cell 2 (exit code 3)" in outcome.detail
    assert printed(outcome, 0) == "first\n"


def test_a_loop_costs_one_cell(kernel: Sandbox) -> None:
    outcome = kernel.run(["while True: pass", "print('after')"], {})
    assert outcome.ended == "finished"
    assert outcome.cells[0] is not None
    assert outcome.cells[0].error == "took longer than 1 s"
    assert printed(outcome) == "after\n"


@pytest.mark.parametrize(
    "attack",
    [
        "import os, signal\nif os.fork(): os.wait()\nos.kill(os.getppid() or 1, signal.SIGSTOP)\nwhile True: pass",
        "import signal, threading\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nthreading.Event().wait()",
        "get_ipython().kernel.control_thread.stop()\nwhile True: pass",
    ],
    ids=["stopped", "deaf", "no control thread"],
)
def test_a_kernel_that_hears_nothing_meets_the_deadline(attack: str, kernel: Sandbox) -> None:
    outcome = kernel.run(["print('first')", attack, "1"], {})
    assert outcome.ended == "deadline"
    assert printed(outcome, 0) == "first\n"


def test_a_stopped_sandbox_meets_the_deadline(kernel: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    run_cell = kernel_room._Kernel._cell

    def stopping(self: object, source: str, deadline: float) -> object:
        if source == "stop":
            for child in psutil.Process().children(recursive=True):
                child.suspend()
        return run_cell(self, source, deadline)

    monkeypatch.setattr(kernel_room._Kernel, "_cell", stopping)
    outcome = kernel.run(["print('first')", "stop", "1"], {})
    assert outcome.ended == "deadline"
    assert printed(outcome, 0) == "first\n"


def test_a_flood_is_cut_as_in_a_fork() -> None:
    floods = ["for _ in range(300_000): print('line')", "for i in range(3_000): display(i)", "'x' * 50_000_000"]
    patient = Limits(cell_seconds=60, submission_seconds=200)
    with Sandbox(patient) as fork:
        fresh, forked = (box.run([*floods, *CHECKS], CASES) for box in (KernelSandbox(patient), fork))
    assert fresh.ended == "finished"
    assert [cell.outputs for cell in fresh.cells if cell] == [cell.outputs for cell in forked.cells if cell]


MESSAGES = """
kernel = get_ipython().kernel
while True:
    kernel.session.send(kernel.iopub_socket, "stream", {"name": "stdout", "text": "x" * 10 ** 6})
"""
EVERY_DESCRIPTOR = """
import os
while True:
    for descriptor in range(3, 128):
        try:
            os.write(descriptor, bytes(1 << 16))
        except OSError:
            pass
"""
MESSAGE_WITHOUT_END = """
import os, socket, stat, struct, threading
part = bytes([3]) + struct.pack(">Q", 1 << 20) + bytes(1 << 20)  # ZMTP: a long frame, and more of the message follows
def speak(descriptor):
    os.set_blocking(descriptor, True)
    while True:
        os.write(descriptor, part)
for descriptor in range(3, 128):
    try:
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode) and socket.socket(fileno=os.dup(descriptor)).getpeername() == "":
            threading.Thread(target=speak, args=(descriptor,), daemon=True).start()
    except OSError:
        pass
threading.Event().wait()
"""


@pytest.mark.parametrize("flood", [MESSAGES, EVERY_DESCRIPTOR, MESSAGE_WITHOUT_END])
def test_a_flood_past_the_recorder_ends_its_submission_and_costs_the_grader_nothing(flood: str) -> None:
    box = KernelSandbox(Limits(cell_seconds=30, submission_seconds=60))
    before = psutil.Process().memory_info().rss
    outcome = box.run(["print('first')", flood, "1"], {})
    assert outcome.ended in ("output limit", "died")
    assert printed(outcome, 0) == "first\n"
    assert psutil.Process().memory_info().rss - before < 200 << 20


def test_the_relay_lets_no_more_pass_than_it_may(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "inner"))
        listener.listen()
        relay = Relay([tmp_path / "outer"], [tmp_path / "inner"], most=300_000)
        client.connect(str(tmp_path / "outer"))
        kernel, _ = listener.accept()
        for _ in range(10):  # what clients send is not counted
            client.sendall(bytes(50_000))
            assert len(kernel.recv(50_000, socket.MSG_WAITALL)) == 50_000
        sender = threading.Thread(target=send_until_closed, args=(kernel,))
        sender.start()
        heard = 0
        while data := received(client):
            heard += len(data)
        sender.join()
        assert relay.exceeded
        assert 0 < heard <= 300_000
        relay.close()
        kernel.close()


def send_until_closed(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection.sendall(bytes(50_000))


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except ConnectionResetError:
        return b""


def test_forged_messages_forge_answers_and_nothing_else(kernel: Sandbox) -> None:
    forge = f"""
k = get_ipython().kernel
bundle = {{"question": "d", "answers": [{{"value": {{"kind": "none"}}}}]}}
def say(kind, content, **more):
    k.session.send(k.iopub_socket, kind, content, parent=k.get_parent(), **more)
say("display_data", {{"data": {{{wire.MIME!r}: bundle}}, "metadata": {{}}}})
say("stream", {{"name": ["list"], "text": 7}})
say("error", {{"ename": {{}}, "traceback": "text"}})
say("execute_result", {{"data": [1], "execution_count": "many"}})
say("display_data", b"[1]")
say("nonsense", {{"deep": 1}})
say("status", {{"execution_state": "idle"}})
"""
    outcome = kernel.run([forge, "print('after')"], {})
    assert outcome.ended == "finished"
    assert outcome.cells[0] is not None
    assert outcome.cells[0].outputs[0]["data"][wire.MIME]["answers"] == [{"value": {"kind": "none"}}]
    json.dumps(outcome.cells[0].outputs)


def test_a_fork_that_is_forgotten_ends_with_its_cell() -> None:
    box = KernelSandbox(Limits(cell_seconds=20, submission_seconds=60))
    outcome = box.run(["import os\nchild = os.fork()\nprint(1)", "print(os.waitpid(child, 0)[1])"], {})
    assert [printed(outcome, number) for number in range(2)] == ["1\n", "0\n"]


def test_memory_of_all_processes_counts_together() -> None:
    source = """
import os, time
for _ in range(10):
    if os.fork() == 0:
        held = bytearray(60 << 20)
        held[::4096] = b"1" * len(held[::4096])
        time.sleep(60)
time.sleep(60)
"""
    box = KernelSandbox(Limits(cell_seconds=50, submission_seconds=50, memory_bytes=512 << 20))
    outcome = box.run(["pass", source], {})
    assert outcome.ended == "died"
    assert "memory" in outcome.detail


def test_two_runs_of_one_submission_are_equal(kernel: Sandbox) -> None:
    source = "import random, numpy as np\nprint(random.random(), np.random.rand(), hash('x'))"
    first, second = (kernel.run([source], {}) for _ in range(2))
    assert printed(first) == printed(second)


# Any Jupyter client


def test_a_stock_client_gets_a_sandboxed_kernel_from_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    provisioner.write_spec(tmp_path / "kernels" / "grading")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    cells = ["import os\nprint(os.uname().nodename, os.environ.get('HOME'))", "import time\ntime.sleep(60)", "2"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    client = NotebookClient(notebook, kernel_name="grading", timeout=1, interrupt_on_timeout=True, allow_errors=True)
    client.execute()
    shown = [cell["outputs"][0] for cell in notebook.cells]
    assert shown[0]["text"] == "sandbox /scratch\n"
    assert shown[1]["ename"] == "KeyboardInterrupt"
    assert shown[2]["data"]["text/plain"] == "2"


def test_a_kernel_of_a_stock_client_restarts_on_the_same_sockets() -> None:
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import KernelManager

    class OnlyOurs(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(**provisioner.SPEC)

    manager = KernelManager(kernel_spec_manager=OnlyOurs())
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=30)
        assert client.execute_interactive("1 + 1", timeout=20, output_hook=lambda _: None)["content"]["status"] == "ok"
        assert client.hb_channel.is_beating()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.context.destroy()


def test_stock_nbgrader_can_be_told_to_use_a_fresh_kernel(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    from traitlets.config import Config

    from autograder import stock

    used: list[type] = []
    run = KernelSandbox.run
    monkeypatch.setattr(KernelSandbox, "run", lambda self, *asked: used.append(type(self)) or run(self, *asked))
    config = Config()
    config.CourseDirectory.root = str(course.root)
    config.Judge.fresh_kernel = True
    notebook = nbformat.from_dict(
        json.loads((course.root / "submitted" / "gil_transposed" / SET / f"{SET}.ipynb").read_text())
    )
    about = {"nbgrader": {"assignment": SET}}
    rebuilt, _ = stock.Rebuild(config=config).preprocess(notebook, about)
    judged, _ = stock.Judge(config=config).preprocess(rebuilt, about)
    assert used
    text = json.dumps(judged)
    assert "W_hh" in text


# Control groups


def test_a_group_is_given_the_limits_of_one_submission() -> None:
    limits = Limits(memory_bytes=1 << 30, processes=10)
    assert cgroup.settings(limits) == {
        "memory.max": str((1 << 30) + cgroup.OWN_MEMORY),
        "pids.max": str(10 + cgroup.OWN_PROCESSES),
        "cpu.max": "100000 100000",
    }


def test_a_delegated_group_is_divided_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path / "scope"
    base.mkdir()
    for name, text in (("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", ""), ("cgroup.procs", "")):
        (base / name).write_text(text)
    monkeypatch.setattr(cgroup, "_own_group", lambda: base)
    with pytest.raises(OSError, match="Delegate=yes"):
        cgroup.prepare()
    monkeypatch.setattr(cgroup, "_is_delegated", lambda folder: True)
    assert cgroup.prepare() == base
    assert (base / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    (base / "cgroup.subtree_control").write_text("cpu memory pids")
    monkeypatch.setattr(cgroup, "_own_group", lambda: base / cgroup.LEAF)
    assert cgroup.prepare() == base


def test_a_process_in_a_group_ends_with_it() -> None:
    try:
        folder = cgroup._own_group() / f"test-{os.getpid()}"
        folder.mkdir()
    except OSError as reason:
        pytest.skip(f"no control group of version 2 can be made here: {reason}")
    group = cgroup.Group(folder)
    child = subprocess.Popen(["sleep", "60"], preexec_fn=group.enter)
    assert (folder / "cgroup.procs").read_text().split() == [str(child.pid)]
    group.close()
    assert child.wait(5) == -9
    assert not folder.exists()


def test_the_kernel_holds_all_of_a_submissions_memory_to_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        cgroup.prepare()
    except OSError as reason:
        pytest.skip(str(reason))
    monkeypatch.setattr(cgroup, "OWN_MEMORY", 0)
    with Sandbox(Limits(memory_bytes=400 << 20)) as box:
        outcome = box.run(["import os\nheld = []\nfor _ in range(8):\n  os.fork()\n  held.append(bytes(64 << 20))"], {})
    assert "memory" in outcome.detail


# Doctor


def test_doctor_tries_both_ways_and_says_how_limits_hold(tmp_path: Path) -> None:
    findings = {finding.what: finding for finding in examine(tmp_path)}
    assert findings["sandbox"].ok
    assert findings["sandboxed kernel"].ok
    assert findings["control groups"].detail


def test_without_the_provisioner_the_fix_is_to_install_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.run.kernel.entry_points", lambda **_: ())
    with pytest.raises(SandboxUnavailable, match="install rnn-notebooks again"):
        KernelSandbox(LIMITS)


@pytest.mark.parametrize(("system", "words"), [("darwin", "podman machine init"), ("win32", "wsl --install")])
def test_other_systems_get_their_own_recipe(system: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    from autograder.run import bubblewrap

    with pytest.raises(SandboxUnavailable, match=words):
        bubblewrap.find()
