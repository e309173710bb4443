"""Hostile submissions: none reads the host, breaks the run, or is felt by the next one.

After every test, an ordinary submission in the same sandbox must still get its right answers.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from autograder import wire
from autograder.run import Limits, Outcome, Sandbox, SandboxUnavailable, inside

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]

LIMITS = Limits(cell_seconds=1.5, submission_seconds=4, memory_bytes=1 << 30)
ORDINARY = ["import numpy as np\nfrom autograder.check import check", "double = lambda x: 2 * x", "check('d', double)"]
CASES = {"d": [[[wire.encode(np.arange(3.0))]]]}


@pytest.fixture(scope="module")
def shared_box() -> Iterator[Sandbox]:
    try:
        with Sandbox(LIMITS) as box:
            yield box
    except SandboxUnavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def box(shared_box: Sandbox) -> Iterator[Sandbox]:
    yield shared_box
    assert_ordinary_work_succeeds(shared_box)


def assert_ordinary_work_succeeds(box: Sandbox) -> None:
    outcome = box.run(ORDINARY, CASES)
    assert outcome.ended == "finished", outcome
    answer = answers(outcome, 2)[0]
    np.testing.assert_array_equal(wire.decode(answer["value"]), [0.0, 2.0, 4.0])


def answers(outcome: Outcome, cell: int) -> list:
    run = outcome.cells[cell]
    assert run is not None
    assert run.error is None
    return run.outputs[0]["data"][wire.MIME]["answers"]


def printed(outcome: Outcome, cell: int = -1) -> str:
    run = outcome.cells[cell]
    assert run is not None, outcome
    return "".join(output["text"] for output in run.outputs if output.get("name") == "stdout")


def timed(box: Sandbox, *sources: str) -> tuple[Outcome, float]:
    started = time.monotonic()
    return box.run(sources, {}), time.monotonic() - started


# Reading what it should not


def test_a_submission_cannot_read_the_host(box: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "the-hidden-cases"
    monkeypatch.setenv("COURSE_SECRET", secret)
    canaries = [tmp_path / "gradebook.db", Path(tempfile.gettempdir()) / "canary.txt", Path.home() / ".canary"]
    for canary in canaries:
        canary.write_text(secret)
        canary.chmod(0o644)
    source = f"""
import os
for path in {[str(c) for c in canaries]} + ["/etc/passwd", "/etc/hostname", {__file__!r}, "/proc/1/environ", "/root"]:
    try:
        print(open(path).read())
    except OSError:
        pass
for folder, _, names in os.walk("/"):
    for name in names:
        if "canary" in name or name in ("gradebook.db", "judge.py", "pyproject.toml"):
            print(folder, name)
print([value for value in os.environ.values() if "hidden" in value])
"""
    try:
        with Sandbox(LIMITS) as fresh:  # started while the variable is set
            outcomes = [box.run([source], {}), fresh.run([source], {})]
    finally:
        for canary in canaries:
            canary.unlink()
    assert [printed(outcome) for outcome in outcomes] == ["[]\n", "[]\n"]


def test_a_submission_sees_no_files_but_python_and_its_scratch(box: Sandbox) -> None:
    outcome = box.run(["import os\nprint(sorted(os.listdir('/')), os.listdir('.'), os.listdir('/proc'))"], {})
    assert "usr" not in printed(outcome)
    assert "etc" not in printed(outcome)
    assert printed(outcome).endswith("[] []\n")


def test_a_submission_is_not_root_and_holds_no_capability(box: Sandbox) -> None:
    source = """
import ctypes, os
libc = ctypes.CDLL(None)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(ctypes.byref(header), ctypes.byref(data))
print(os.getuid() == 0, os.geteuid() == 0, any(data), libc.prctl(39, 0, 0, 0, 0), os.uname().nodename)
"""
    assert printed(box.run([source], {})) == "False False False 1 sandbox\n"


def test_a_submission_has_no_network(box: Sandbox) -> None:
    source = """
import socket
for family, address in [(socket.AF_INET, ("1.1.1.1", 53)), (socket.AF_INET, ("127.0.0.1", 22)),
                        (socket.AF_INET6, ("::1", 22)), (socket.AF_UNIX, "/run/systemd/private"),
                        (getattr(socket, "AF_VSOCK", 40), (2, 22)), (socket.AF_NETLINK, (0, 0))]:
    try:
        with socket.socket(family) as s:
            s.settimeout(0.5)
            s.connect(address)
            print("reached", address)
    except OSError:
        pass
"""
    outcome = box.run([source], {})
    assert printed(outcome) == ""
    assert outcome.cells[0] is not None
    assert outcome.cells[0].error is None


@pytest.mark.parametrize("module", ["rnnlib", "torch", "nbgrader", "autograder.judge", "autograder.questions", "tests"])
def test_the_model_answers_cannot_be_imported(box: Sandbox, module: str) -> None:
    outcome = box.run([f"import {module}", "print('still here')"], {})
    assert outcome.cells[0] is not None
    assert outcome.cells[0].error is not None
    assert outcome.cells[0].error.startswith("ModuleNotFoundError")
    assert printed(outcome) == "still here\n"


# Writing where it should not


def test_a_submission_can_write_nowhere_but_in_its_scratch(box: Sandbox) -> None:
    source = """
import os
wrote = []
for folder in ["/", "/env", "/env/packages/numpy", "/code", "/code/autograder", "/dev", "/proc", "/lib64", "."]:
    try:
        open(os.path.join(folder, "left"), "w").close()
        wrote.append(folder)
    except OSError:
        pass
for path in ["/code/autograder/check.py", "/env/packages/numpy/__init__.py", "/env/bin/python3"]:
    for attempt in (os.remove, lambda p: os.chmod(p, 0o777), lambda p: open(p, "a").close()):
        try:
            attempt(path)
            wrote.append(path)
        except OSError:
            pass
print(wrote)
"""
    assert printed(box.run([source], {})) == "['.']\n"


def test_nothing_is_left_for_the_next(box: Sandbox) -> None:
    leave = """
import os, builtins, json, sys, threading, time
import numpy as np
folders = [".", "/dev/shm", os.environ["HOME"], os.environ["TMPDIR"]]
for folder in folders:
    open(os.path.join(folder, "answers.txt"), "w").write("mine")
    open(os.path.join(folder, "numpy.py"), "w").write("raise SystemExit")
os.makedirs(".ipython/profile_default/startup")
open(".ipython/profile_default/startup/00.py", "w").write("raise SystemExit")
builtins.print = lambda *a: None
builtins.leaked = np.leaked = json.leaked = sys.leaked = True
np.dot = np.array = json.dumps = None
os.environ["LEAKED"] = "1"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
"""
    look = """
import os, builtins, json, sys, multiprocessing
import numpy as np
found = [p for f in [".", "/dev/shm", os.environ["HOME"], os.environ["TMPDIR"]] for p in os.listdir(f)]
found += [m.__name__ for m in (builtins, np, json, sys) if hasattr(m, "leaked")]
found += [v for v in os.environ if v == "LEAKED"]
for pid in range(1, 400):
    try:
        os.kill(pid, 0)
        found += [pid] * (pid != os.getpid())
    except OSError:
        pass
print(found, np.dot([1], [1]))
"""
    box.run([leave], {})
    assert printed(box.run([look], {})) == "[] 1\n"


def test_one_submissions_text_is_not_in_the_next_ones_memory(box: Sandbox) -> None:
    box.run(["secret = 'needle-9f3b61-one'; print(secret * 2000)"], {})
    # write() to a pipe refuses an address that is not mapped, so it can look through the heap without a crash
    source = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.sbrk.restype = ctypes.c_void_p
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
reader, writer = os.pipe()
mine = ["control", "5d1"]
kept = "-".join(mine)
needles = ["-".join(["needle", "9f3b61", "one"]).encode(), kept.encode()]
hits = [0, 0]
page, top, arena = 4096, libc.sbrk(0) & ~4095, id(kept) & ~4095
for start, pages in [(top - (64 << 20), 16384), (arena - (64 << 20), 32768)]:
    for address in range(start, start + pages * page, page):
        if libc.write(writer, address, page) == page:
            text = os.read(reader, page)
            hits[0] += text.count(needles[0])
            hits[1] += text.count(needles[1])
print(hits[0] <= 1, hits[1] >= 1)  # one: the needle that this cell itself put together
"""
    assert printed(box.run([source], {})) == "True True\n"


def test_a_numpy_beside_the_notebook_does_not_shadow_the_real_one(box: Sandbox) -> None:
    plant = (
        "open('json.py', 'w').write('1/0')\nopen('fractions.py', 'w').write('1/0')\nopen('numpy.py', 'w').write('1/0')"
    )
    outcome = box.run([plant, "import fractions, json, numpy\nprint(fractions.Fraction(1, 2), numpy.ones(1))"], {})
    assert printed(outcome) == "1/2 [1.]\n"


# Ending the process


@pytest.mark.parametrize(
    "end",
    [
        "import os; os._exit(0)",
        "import os; os._exit(7)",
        "import os; os.abort()",
        "import ctypes; ctypes.string_at(0)",
        "import os; os.closerange(0, 300)",
        "import os; os.execv('/env/bin/python3', ['python3', '-c', 'pass'])",
    ],
)
def test_cells_before_the_end_keep_their_outputs(box: Sandbox, end: str) -> None:
    outcome = box.run(["print('first')", "1 + 1", end, "print('never')"], {})
    assert outcome.ended == "died"
    assert "cell 3" in outcome.detail
    assert printed(outcome, 0) == "first\n"
    assert outcome.cells[1] is not None
    assert outcome.cells[1].outputs[0]["data"]["text/plain"] == "2"
    assert outcome.cells[2] is not None
    assert outcome.cells[2].error == outcome.detail
    assert outcome.cells[3] is None


@pytest.mark.parametrize("leave", ["import sys; sys.exit(1)", "raise SystemExit", "quit()", "raise KeyboardInterrupt"])
def test_leaving_a_cell_ends_only_that_cell(box: Sandbox, leave: str) -> None:
    outcome = box.run([leave, "print('after')"], {})
    assert outcome.ended == "finished"
    assert printed(outcome) == "after\n"


def test_no_signal_reaches_the_warden_or_the_server(box: Sandbox) -> None:
    source = """
import os, signal
for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM):
    for pid in [1, 2, 3, -1, 0, os.getpid(), os.getppid()]:
        try:
            os.kill(pid, number)
        except OSError:
            pass
print("alive", os.getpid(), os.getppid())
"""
    outcome, seconds = timed(box, source, "1")
    assert outcome.ended in ("finished", "died")
    assert seconds < LIMITS.submission_seconds + 2


# Time


def test_a_loop_costs_one_cell(box: Sandbox) -> None:
    outcome = box.run(["while True: pass", "print('after')"], {})
    assert outcome.ended == "finished"
    assert outcome.cells[0] is not None
    assert outcome.cells[0].error == "took longer than 1.5 s"
    assert printed(outcome) == "after\n"


def test_a_loop_in_every_cell_meets_the_deadline(box: Sandbox) -> None:
    outcome, seconds = timed(box, *["while True: pass"] * 6)
    assert outcome.ended == "deadline"
    assert seconds < LIMITS.submission_seconds + 2
    assert outcome.cells[-1] is None


@pytest.mark.parametrize(
    "loop",
    [
        "import time\nwhile True:\n  try:\n    while True: time.sleep(0.01)\n  except BaseException: pass",
        "import signal, time\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
        "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: time.sleep(1)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nwhile os.fork() and True: os.wait()",
        "sum(range(10 ** 15))",
    ],
)
def test_a_loop_that_swallows_everything_meets_the_deadline(box: Sandbox, loop: str) -> None:
    outcome, seconds = timed(box, "print('first')", loop, "1")
    assert seconds < LIMITS.submission_seconds + 2
    assert printed(outcome, 0) == "first\n"


def test_a_thread_that_keeps_running_holds_nobody_up(box: Sandbox) -> None:
    source = (
        "import threading, time\ndef spin():\n  while True: time.sleep(0.001)\nthreading.Thread(target=spin).start()"
    )
    outcome, seconds = timed(box, source, "print('after')")
    assert outcome.ended == "finished"
    assert seconds < 2


def test_a_daemon_does_not_outlive_its_submission(box: Sandbox) -> None:
    source = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            time.sleep(0.01)
    os._exit(0)
"""
    outcome, seconds = timed(box, source, "print('after')")
    assert outcome.ended == "finished"
    assert seconds < 2


def test_a_forgotten_fork_does_not_answer_twice(box: Sandbox) -> None:
    outcome = box.run(["import os\nos.fork()\nprint(1)", "print(2)", "print(3)"], {})
    assert [printed(outcome, i) for i in range(3)] == ["1\n", "2\n", "3\n"]


# Memory, processes, disk, output


def test_a_process_limit_holds_before_a_bomb_goes_off(box: Sandbox) -> None:
    source = """
import os, time
children = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(9)
            os._exit(0)
        children += 1
except OSError:
    pass
print(children < 64)
"""
    assert printed(box.run([source], {})) == "True\n"


def test_a_fork_bomb_is_ended(box: Sandbox) -> None:
    _, seconds = timed(box, "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", "1")
    assert seconds < LIMITS.submission_seconds + 2


def test_a_memory_bomb_is_an_error_in_its_cell(box: Sandbox) -> None:
    outcome = box.run(["import numpy as np\nnp.ones(10 ** 10)", "x = [0] * 10 ** 9", "print('after')"], {})
    for cell in outcome.cells[:2]:
        assert cell is not None
        assert cell.error is not None
        assert "MemoryError" in cell.error
    assert printed(outcome) == "after\n"


def test_many_processes_share_one_memory_limit() -> None:
    source = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        held = bytearray(60 << 20)
        for i in range(0, len(held), 4096):
            held[i] = 1
        time.sleep(9)
        os._exit(0)
time.sleep(6)
"""
    limits = Limits(cell_seconds=8, submission_seconds=9, memory_bytes=256 << 20)
    with Sandbox(Limits(cell_seconds=8, submission_seconds=9)) as box:
        box.limits = limits
        outcome = box.run([source], {})
    assert outcome.ended == "died"
    assert "memory" in outcome.detail


def test_the_scratch_is_limited(box: Sandbox) -> None:
    source = """
import os
written = 0
for folder in (".", "/dev/shm"):
    try:
        for i in range(20):
            with open(f"{folder}/{i}", "wb") as file:
                written += file.write(bytes(10 << 20))
    except OSError as error:
        print(error.strerror)
try:
    open("long", "wb").write(bytes(40 << 20))
except OSError as error:
    print(error.strerror)
try:
    for i in range(100_000):
        open(f"empty{i}", "w").close()
except OSError:
    print(i < 20_000, written < 200 << 20)
"""
    outcome = box.run([source], {})
    assert printed(outcome).startswith("No space left on device\nNo space left on device\n")
    assert printed(outcome).endswith("True True\n")


@pytest.mark.parametrize(
    "flood",
    [
        "for _ in range(300_000): print('line')",
        "print('x' * 50_000_000)",
        "import sys\nfor i in range(30_000): print(i, file=(sys.stdout, sys.stderr)[i % 2])",
        "for i in range(3_000): display(i)",
        "display({'text/html': 'x' * 50_000_000}, raw=True)",
        "'x' * 50_000_000",
        "raise ValueError('x' * 50_000_000)",
        "def f(n): return f(n + 1)\nf(0)",
        "try: 1 / 0\nexcept ZeroDivisionError:\n  for _ in range(3000): get_ipython().showtraceback()",
        "import warnings\nfor i in range(20_000): warnings.warn(f'number {i}')",
    ],
)
def test_a_flood_of_output_is_cut_and_costs_nothing_else(box: Sandbox, flood: str) -> None:
    outcome = box.run([flood, *ORDINARY], CASES)
    assert outcome.ended == "finished"
    assert outcome.cells[0] is not None
    assert len(str(outcome.cells[0].outputs)) < 150_000
    np.testing.assert_array_equal(wire.decode(answers(outcome, 3)[0]["value"]), [0.0, 2.0, 4.0])


def test_a_flood_past_our_own_counting_is_ended(box: Sandbox) -> None:
    source = """
import os
while True:
    for fd in range(3, 20):
        try:
            os.write(fd, bytes(1 << 16))
        except OSError:
            pass
"""
    outcome, seconds = timed(box, "print('first')", source)
    assert outcome.ended == "output limit"
    assert printed(outcome, 0) == "first\n"
    assert seconds < LIMITS.submission_seconds


# Forging


def test_garbage_on_every_descriptor_ends_only_this_submission(box: Sandbox) -> None:
    source = "import os\nfor fd in range(3, 300):\n  try: os.write(fd, b'garbage\\n' * 100)\n  except OSError: pass"
    outcome = box.run(["print('first')", source, "1"], {})
    assert outcome.ended == "died"
    assert "channel" in outcome.detail
    assert printed(outcome, 0) == "first\n"


def test_the_wardens_record_cannot_be_forged(box: Sandbox) -> None:
    source = """
import json, os, struct
end = json.dumps({"cause": "exit", "status": 0}).encode()
frame = struct.pack(">cI", b"E", len(end)) + end
for fd in range(3, 300):
    try:
        os.write(fd, frame * 3)
    except OSError:
        pass
os._exit(3)
"""
    outcome = box.run([source, "1"], {})
    assert outcome.ended == "died"
    assert "exit code 3" in outcome.detail


@pytest.mark.parametrize(
    "record",
    [
        "[]",
        "{}",
        '{"cell": 0, "outputs": 5}',
        "[" * 100_000,
        '{"cell": 0, "outputs": [{"output_type": "stream", "text": "\\ud800"}], "seconds": NaN, "error": null}',
        '{"cell": 0, "outputs": [1, {"output_type": "execute_result", "data": {"a": {}}}], "seconds": 1e999}',
        '{"cell": 99, "outputs": []}',
        "9" * 10_000,
    ],
)
def test_a_forged_report_yields_clean_outputs_or_none(box: Sandbox, record: str) -> None:
    source = f"""
import os
for fd in range(3, 20):
    try:
        os.write(fd, {record!r}.encode() + bytes([10]))
    except OSError:
        pass
os._exit(0)
"""
    outcome = box.run([source, "1"], {})
    assert outcome.ended == "died"
    str(outcome).encode()


def test_replacing_check_changes_nothing_but_its_own_answers(box: Sandbox) -> None:
    source = "import autograder.check as c, autograder.ask as a\nc.check = a.ask = lambda *x: 'full marks'"
    outcome = box.run([source, "from autograder.check import check\ncheck('d', None)"], CASES)
    assert outcome.cells[1] is not None
    assert outcome.cells[1].outputs[0]["data"] == {"text/plain": "'full marks'"}


def test_no_namespace_no_mount_no_trace_no_uncounted_memory(box: Sandbox) -> None:
    source = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
results = [libc.unshare(0x10000000), libc.unshare(0x20000), libc.mount(b"none", b"/scratch", b"tmpfs", 0, None),
           libc.umount2(b"/proc", 2), libc.ptrace(16, 1, 0, 0), libc.memfd_create(b"m", 0),
           libc.shmget(1, 1 << 20, 0o1600), libc.setuid(0), libc.chroot(b"/scratch"), libc.setns(0, 0)]
print(set(results))
"""
    assert printed(box.run([source], {})) == "{-1}\n"


# The server itself


def test_a_dead_server_is_started_again(box: Sandbox) -> None:
    assert box._server is not None
    os.kill(box._server._process.pid, 9)
    time.sleep(0.1)
    assert_ordinary_work_succeeds(box)


def test_a_sandbox_whose_walls_cannot_be_put_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = inside.contents()
    broken["autograder/run/jail.py"] += b"\n\ndef enter(scratch_bytes):\n    raise PermissionError('no namespaces')\n"
    monkeypatch.setattr(inside, "contents", lambda: broken)
    with pytest.raises(SandboxUnavailable, match="no namespaces"):
        Sandbox(LIMITS)


def test_a_sandbox_whose_locks_do_not_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = inside.contents()
    broken["autograder/run/jail.py"] += b"\n\ndef lock(limits):\n    raise PermissionError('no filter')\n"
    monkeypatch.setattr(inside, "contents", lambda: broken)
    with pytest.raises(SandboxUnavailable, match="ended by itself"):
        Sandbox(LIMITS)


def test_a_server_that_is_killed_under_a_submission_costs_it_nothing(box: Sandbox) -> None:
    import threading

    assert box._server is not None
    threading.Timer(0.5, os.kill, (box._server._process.pid, 9)).start()
    outcome, _ = timed(box, "print('first')", "import time; time.sleep(1.4)", "1")
    assert outcome.ended == "finished"
    assert outcome.cells[0].outputs[0]["text"] == "first\n"


def test_a_server_that_dies_again_under_the_same_submission_is_reported(box: Sandbox, monkeypatch) -> None:
    monkeypatch.setattr(box, "_hand_over", lambda message: ({"cause": "server", "status": 0}, b""))
    outcome, _ = timed(box, "1")
    assert outcome.ended == "died"
    assert "sandbox ended" in outcome.detail


def test_a_server_that_hangs_is_replaced(box: Sandbox) -> None:
    psutil = pytest.importorskip("psutil")
    assert box._server is not None
    for process in psutil.Process(box._server._process.pid).children(recursive=True):
        process.suspend()
    outcome, seconds = timed(box, "1")
    assert outcome.ended == "deadline"
    assert seconds < LIMITS.submission_seconds + 2
