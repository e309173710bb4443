"""Break the run: submissions that end, hang, fill or confuse the grader.

`CELLS` holds the text of the first solution cell, `FILES` what is handed in instead. `ENDS` says how a run may end
where it does not finish; a file that cannot be read ends as "ungradable".
"""

import json
import os
import zipfile

CELLS = {
    "os_exit": ("Leaves through os._exit with success.", "import os\nos._exit(0)\n"),
    "sys_exit_everywhere": (
        "Raises SystemExit, KeyboardInterrupt and GeneratorExit from every function.",
        """import sys
def rnn_step(*a): sys.exit(0)
def rnn_forward(*a): raise KeyboardInterrupt
def readout(*a): raise GeneratorExit
raise SystemExit(0)
""",
    ),
    "kills_itself": ("Kills itself with SIGKILL.", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"),
    "kills_everyone": (
        "Sends every signal to every process that it can name.",
        """import os, signal
for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
    for pid in (-1, 0, 1, 2, 3, os.getppid(), os.getpgid(0)):
        try: os.kill(pid, number)
        except OSError: pass
""",
    ),
    "stops_itself": (
        "Stops itself and all of its group, and waits to be continued.",
        "import os, signal\nos.killpg(0, signal.SIGSTOP)\nsignal.pause()\n",
    ),
    "segmentation_fault": ("Reads address 0.", "import ctypes\nctypes.string_at(0)\n"),
    "aborts_in_c": (
        "Aborts while it holds the interpreter's lock, in a thread.",
        "import os, threading\nthreading.Thread(target=os.abort).start()\nwhile True: pass\n",
    ),
    "executes_another_program": (
        "Replaces itself by another Python.",
        "import os\nos.execv('/env/bin/python3', ['python3', '-c', 'while True: pass'])\n",
    ),
    "loop_in_a_cell": ("Loops for ever, once.", "while True: pass\n"),
    "loop_in_every_call": (
        "Loops in every function, so that each cell costs its time.",
        "def rnn_step(*a):\n    while True: pass\nrnn_forward = readout = rnn_step\n",
    ),
    "loop_that_catches_all": (
        "Loops and catches everything, the time limit included.",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n",
    ),
    "loop_in_c": ("Loops within one call of C, where no Python signal handler runs.", "sum(range(10**15))\n"),
    "sleeps_with_alarms_off": (
        "Switches the alarm off and blocks all signals, then sleeps.",
        """import signal, time
signal.setitimer(signal.ITIMER_REAL, 0)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
time.sleep(10**6)
""",
    ),
    "regular_expression": (
        "Matches a regular expression that needs longer than the universe has time.",
        "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')\n",
    ),
    "fork_bomb": ("Forks for ever.", "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"),
    "thread_bomb": (
        "Starts threads for ever.",
        """import threading, time
while True:
    try: threading.Thread(target=time.sleep, args=(10**6,), daemon=True).start()
    except RuntimeError: pass
""",
    ),
    "memory_at_once": (
        "Asks for a terabyte, in NumPy, in bytes and in a list.",
        """import numpy as np
for ask in (lambda: np.ones(10**11), lambda: bytearray(10**12), lambda: [0] * 10**11, lambda: "x" * 10**12):
    try: ask()
    except MemoryError: print("no")
""",
    ),
    "memory_bit_by_bit": (
        "Touches memory until there is none.",
        "import numpy as np\nheld = []\nwhile True: held.append(np.ones(4_000_000))\n",
    ),
    "memory_in_many_children": (
        "Shares the work among children, each within the limit of one.",
        """import os, time
for _ in range(6):
    if os.fork() == 0:
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 10)) * (20 << 10)); time.sleep(0.001)
time.sleep(100)
""",
    ),
    "memory_in_the_kernel": (
        "Fills pipes and socket buffers, which count for no process.",
        """import os, fcntl, socket
held = []
try:
    while True:
        r, w = os.pipe(); os.set_blocking(w, False); held += [r, w]
        try: fcntl.fcntl(w, 1031, 1 << 20)
        except OSError: pass
        try:
            while True: os.write(w, bytes(65536))
        except BlockingIOError: pass
except OSError: print(len(held))
""",
    ),
    "disk_fill": (
        "Fills its disk, its shared memory, and all their inodes.",
        """import os
for folder in (".", "/dev/shm", "/tmp"):
    try:
        for i in range(10**6):
            with open(f"{folder}/{i}", "wb") as file: file.write(bytes(1 << 20 if i < 100 else 0))
    except OSError as error: print(folder, error.errno)
""",
    ),
    "sparse_file": (
        "Makes files of exabytes that hold nothing.",
        """import os
for size in (1 << 30, 1 << 62):
    try: os.truncate(os.open("big", os.O_CREAT | os.O_RDWR), size)
    except OSError as error: print(error.errno)
""",
    ),
    "flood_of_lines": ("Prints lines for ever.", "while True: print('x' * 70)\n"),
    "flood_in_one_line": (
        "Prints ten times 10 MB without a newline.",
        "for _ in range(10): print('x' * 10**7, end='')\n",
    ),
    "flood_on_descriptors": (
        "Floods every descriptor below Python.",
        """import os
while True:
    for fd in range(3, 20):
        try: os.write(fd, b"x" * 65536)
        except OSError: pass
""",
    ),
    "flood_of_displays": (
        "Displays a hundred thousand small things, and pictures.",
        "from IPython.display import display\nfor i in range(100_000): display(i)\n",
    ),
    "errors_without_end": (
        "Raises an exception with a chain of a thousand causes and a message of 10 MB, whose str() fails.",
        """class E(Exception):
    def __str__(self): raise self
error = None
for i in range(1000):
    new = ValueError("x" * 10_000); new.__cause__ = error; error = new
try: raise E from error
except E as e: raise ExceptionGroup("y" * 10**7, [e, error])
""",
    ),
    "recursion_in_c": (
        "Recurses until the C stack ends: repr of nested lists, a compiler's nesting, a deep pickle.",
        """import sys
sys.setrecursionlimit(10**9)
nest = []
for _ in range(10**6): nest = [nest]
repr(nest)
""",
    ),
    "name_of_a_megabyte": (
        "Calls its functions, exceptions and types by names of a megabyte and of half characters.",
        """long = "E" * 10**6
E = type(long, (Exception,), {})
H = type("\\udc80\\ud800", (Exception,), {})
def rnn_step(*a): raise E("\\x00\\x1b[2J" + "m" * 10**6)
def rnn_forward(*a): raise H("\\ud800" * 1000)
def readout(*a): return type(long, (), {})()
""",
    ),
    "huge_answers": (
        "Returns arrays larger than the channel, lists of a million, and nests too deep to encode.",
        """import numpy as np
def rnn_step(*a): return np.ones(10**7)
def rnn_forward(*a): return [[0.0] * 10**5] * 10**5
def readout(*a):
    nest = 0.0
    for _ in range(900): nest = [nest]
    return nest
""",
    ),
    "nests_without_end": (
        "Returns a list that contains itself.",
        "loop = []\nloop += [loop, loop]\nrnn_step = rnn_forward = readout = lambda *a: loop\n",
    ),
    "odd_kinds": (
        "Returns dates, texts, bits, longdoubles, records, masked and read-only arrays, memory views, generators.",
        """import numpy as np, itertools, datetime
kinds = itertools.cycle([np.datetime64("now"), np.array(["x"]), np.ones((3, 5), np.longdouble), np.float16(1),
    np.zeros(3, [("a", "f8")]), np.ma.masked_all((3, 5)), memoryview(b"x"), (i for i in ()), datetime.date.min, {},
    np.void(b"x"), 10**400, np.ones((3, 5), np.clongdouble), ..., NotImplemented, type, np.array(None), 1j, "8.0"])
rnn_step = lambda *a: next(kinds)
rnn_forward = readout = lambda *a: (next(kinds), next(kinds))
""",
    ),
    "numpy_in_pieces": (
        "Deletes NumPy's insides, so that whatever encodes answers fails.",
        """import numpy as np, sys
for name in list(vars(np)):
    if not name.startswith("__"): delattr(np, name)
for name in [n for n in sys.modules if n.startswith(("numpy", "json", "base64", "traceback"))]: del sys.modules[name]
""",
    ),
    "builtins_in_pieces": (
        "Deletes the builtins.",
        "import builtins\nfor name in list(vars(builtins)):\n    if name[0] != '_': delattr(builtins, name)\n",
    ),
    "shell_in_pieces": (
        "Deletes the shell's recorder, events and history, and stops the display.",
        """ip = get_ipython()
for name in ("recorder", "events", "history_manager", "display_pub", "displayhook", "user_ns"):
    try: setattr(ip, name, None)
    except Exception: vars(ip).pop(name, None)
""",
    ),
    "destructors_and_garbage": (
        "Leaves a million objects with destructors that make others and raise.",
        """class Phoenix:
    def __del__(self): Phoenix(); raise ValueError
held = [Phoenix() for _ in range(1000)]
del held
""",
    ),
    "malformed_reports": (
        "Writes reports to the warden's pipe that are not JSON, too deep, too large, or of other types.",
        """import os
texts = [b"{", b"[" * 10**5, b"null", b"9" * 6000, b'{"cell": 1, "outputs": {}}', b"\\xff\\xfe", b"NaN",
         b'{"cell": 1, "outputs": [[], 1, {"output_type": "error", "traceback": 1}], "error": 1, "seconds": 1e999}']
for fd in range(3, 20):
    for text in texts:
        try: os.write(fd, text + b"\\n")
        except OSError: pass
""",
    ),
    "deep_report": (
        "Displays JSON that nests deeply enough for a recursive reader to fail, and not so deeply that a parser does.",
        """from IPython.display import publish_display_data
nest = 0
for _ in range(600): nest = [nest]
publish_display_data({"application/json": nest})
""",
    ),
    "deep_answers": (
        "Answers with nests in every place of the bundle that a judge may print.",
        """import autograder.check as c
nest = 0
for _ in range(150): nest = {"kind": "tuple", "items": [nest]}
class A:
    def __init__(self, name): self.name = name
    def _repr_mimebundle_(self, *a, **k):
        raised = {"type": nest, "message": nest, "line": nest}
        answers = [{"value": nest}, {"value": {"kind": nest}}, {"raised": raised}]
        return {"application/vnd.rnn-notebooks.answers+json": {"question": self.name, "answers": answers * 2}}
check = c.check = lambda name, *f: A(name)
""",
    ),
    "empty_and_endless_shapes": (
        "Answers with arrays of no entries but of astronomic shape, which overflow when they are laid out.",
        """import autograder.check as c
B = 1 << 23
empty = {"kind": "array", "dtype": "|b1", "shape": [0, B, B, 1 << 16], "data": "", "layout": "strided"}
class A:
    def __init__(self, name): self.name = name
    def _repr_mimebundle_(self, *a, **k):
        answers = [{"value": empty}] * 6
        return {"application/vnd.rnn-notebooks.answers+json": {"question": self.name, "answers": answers}}
check = c.check = lambda name, *f: A(name)
""",
    ),
    "stacks_of_endless_shapes": (
        "Answers with lists of such arrays, which overflow when they are stacked.",
        """import autograder.check as c
B = 1 << 23
empty = {"kind": "array", "dtype": "|b1", "shape": [0, B, B, 1 << 16], "data": "", "layout": "C"}
class A:
    def __init__(self, name): self.name = name
    def _repr_mimebundle_(self, *a, **k):
        answers = [{"value": {"kind": "tuple", "items": [{"kind": "tuple", "items": [empty] * 4}] * 2}}] * 6
        return {"application/vnd.rnn-notebooks.answers+json": {"question": self.name, "answers": answers}}
check = c.check = lambda name, *f: A(name)
""",
    ),
    "endless_numbers": (
        "Answers with integers of thousands of digits as line, call, shape and size.",
        """import autograder.check as c
n = 10 ** 4200
class A:
    def __init__(self, name): self.name = name
    def _repr_mimebundle_(self, *a, **k):
        wrong = {"kind": "array", "dtype": "<f8", "shape": [n, -n], "data": "", "layout": "C"}
        raised = {"type": n, "message": n, "line": n, "call": n}
        answers = [{"value": wrong}, {"raised": raised}, {"raised": {"line": -n}}]
        return {"application/vnd.rnn-notebooks.answers+json": {"question": self.name, "answers": answers * 2}}
check = c.check = lambda name, *f: A(name)
""",
    ),
    "syntax_errors": (
        "Does not compile: nulls, tabs, half an expression, a bad coding line.",
        "def (:\n\t x\n  \x00 y ='\n",
    ),
    "deep_source": ("Nests brackets until the compiler gives up.", "x = " + "(" * 5000 + ")" * 5000 + "\n"),
}


def _raw(content):
    return lambda folder, notebook: (folder / "ps1_rnn.ipynb").write_bytes(content(notebook))


def many_cells(notebook):
    cell = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": []}
    return json.dumps({**json.loads(notebook), "cells": [cell] * 2_001}).encode()


def repeated_keys(notebook):
    return notebook.replace(b'"cells":', b'"cells": 8, "cells": {}, "cells":', 1).replace(
        b'"nbformat": 4', b'"nbformat": 1e999'
    )


def folder_for_a_file(folder, notebook):
    (folder / "ps1_rnn.ipynb").mkdir()


def fifo(folder, notebook):
    os.mkfifo(folder / "ps1_rnn.ipynb")


def link_to_a_device(folder, notebook):
    (folder / "ps1_rnn.ipynb").symlink_to("/dev/zero")


def link_to_itself(folder, notebook):
    (folder / "ps1_rnn.ipynb").symlink_to("ps1_rnn.ipynb")


def zip_slip(folder, notebook):
    with zipfile.ZipFile(folder / "ps1_rnn.ipynb", "w") as archive:
        archive.writestr("../../../../attacker_was_here", "1")


def several_notebooks(folder, notebook):
    for name in ("ps1_rnn (1).ipynb", "ps1_rnn-Copy1.ipynb", "x.ipynb"):
        (folder / name).write_bytes(notebook)


def odd_names(folder, notebook):
    for name in ("\x1b[2J\x07.ipynb", "-rf .ipynb"):
        (folder / name).write_bytes(notebook)


FILES = {
    "utf_16": (
        "Hands in a notebook in UTF-16, which Jupyter neither writes nor opens.",
        _raw(lambda n: n.decode().encode("utf-16")),
    ),
    "not_json": ("Hands in half a notebook.", _raw(lambda n: n[: len(n) // 2])),
    "empty_file": ("Hands in an empty file.", _raw(lambda n: b"")),
    "nested_json": ("Hands in a hundred thousand open brackets.", _raw(lambda n: b'{"cells": [' + b"[" * 100_000)),
    "large_file": ("Hands in 30 MB of spaces.", _raw(lambda n: n + b" " * (30 << 20))),
    "many_cells": ("Hands in two thousand cells and one.", _raw(many_cells)),
    "not_utf8": ("Hands in bytes that no encoding holds.", _raw(lambda n: n.replace(b"rnn", b"\xff\xfe\x80"))),
    "long_number": ("Hands in a number of a million digits.", _raw(lambda n: b'{"cells": ' + b"9" * 10**6 + b"}")),
    "repeated_keys": ("Hands in repeated keys and an infinite format.", _raw(repeated_keys)),
    "other_json": ("Hands in a list.", _raw(lambda n: b"[[], {}, 8.0]")),
    "folder_for_a_file": ("Hands in a folder of that name.", folder_for_a_file),
    "fifo": ("Hands in a FIFO, which blocks whoever opens it.", fifo),
    "link_to_a_device": ("Hands in a link to /dev/zero.", link_to_a_device),
    "link_to_itself": ("Hands in a link to itself.", link_to_itself),
    "zip_slip": ("Hands in an archive whose entry climbs out of its folder.", zip_slip),
    "several_notebooks": ("Hands in three notebooks, none of the name.", several_notebooks),
    "odd_names": ("Hands in notebooks whose names clear a terminal or look like options.", odd_names),
}

ENDS = {
    **dict.fromkeys(("os_exit", "segmentation_fault", "aborts_in_c"), ("died",)),
    **dict.fromkeys(("loop_in_c", "sleeps_with_alarms_off"), ("deadline",)),
    **dict.fromkeys(FILES, ("ungradable",)),
    "not_utf8": ("ungradable", "finished"),
    "repeated_keys": ("finished",),
}
