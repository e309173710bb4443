"""Read what it should not: submissions that look for hidden cases, the reference, grades, neighbours and the host.

`CELLS` holds the text of the first solution cell; all that these find, they print or raise, so that it would stand in
the graded notebook and on the page. `FILES` lay links out instead. The tests plant what must never appear.
"""

CELLS = {
    "walks_the_disk": (
        "Prints every file of the system whose name looks like a secret, a grade, a seed or somebody's notebook.",
        """import os
for folder, folders, names in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(folder, f) not in ("/proc", "/sys", "/env", "/usr")]
    for name in names:
        if any(word in name for word in ("canary", "gradebook", "seed", ".ipynb", ".jsonl")):
            try: print("found", folder, name, open(os.path.join(folder, name), errors="replace").read(2000))
            except OSError: pass
""",
    ),
    "well_known_paths": (
        "Opens well-known files by absolute, relative and odd paths.",
        """import os, pathlib
for path in ("/etc/passwd", "/etc/shadow", "/etc/hostname", "~/.ssh/id_rsa", "~/.bash_history", "/root", "/home",
             "../../private/ps1_rnn.seed", "../../gradebook.db", "../../../../../../etc/passwd", "/tmp", "/var/log",
             "/proc/1/environ", "/proc/self/root/etc/passwd", "/dev/mem", "/dev/kmsg", "/sys/class/dmi/id/product_uuid",
             "//etc//passwd", "/./etc/passwd", "/dev/fd/0", "/run/secrets", "/.dockerenv", "/boot"):
    path = pathlib.Path(os.path.expanduser(path))
    try: print(path, os.listdir(path) if path.is_dir() else path.read_text(errors="replace"))
    except OSError: pass
""",
    ),
    "environment_variables": (
        "Prints the environment, Python's and the C library's, the auxiliary vector and the process's arguments.",
        """import ctypes, os, sys
print(dict(os.environ), sys.argv, sys.orig_argv, sys.path, sys.prefix, sys.executable)
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
i = 0
while environ[i]:
    print(environ[i]); i += 1
""",
    ),
    "stack_beyond_its_end": (
        "Reads upwards from the environment's memory, where the kernel has laid arguments and variables.",
        """import ctypes, os
libc = ctypes.CDLL(None)
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
r, w = os.pipe()
start = ctypes.cast(ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ"), ctypes.c_void_p).value & ~4095
for page in range(start - (1 << 20), start + (1 << 20), 4096):
    if libc.write(w, page, 4096) == 4096:
        text = os.read(r, 4096)
        if b"canary" in text.lower() or b"PATH=/" in text: print(text)
""",
    ),
    "heap_of_the_server": (
        "Searches the heap that it shares, copied on write, with the fork server and all submissions before it.",
        """import ctypes, gc, os, re
libc = ctypes.CDLL(None)
libc.write.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
libc.sbrk.restype = ctypes.c_void_p
r, w = os.pipe()
top = libc.sbrk(0) & ~4095
for page in range(top - (48 << 20), top, 4096):
    if libc.write(w, page, 4096) == 4096:
        text = os.read(r, 4096)
        for secret in re.findall(rb"canary-[0-9a-f]+", text): print("heap", secret)
print([o for o in gc.get_objects() if isinstance(o, dict) and "sources" in o][:3])
""",
    ),
    "through_every_frame": (
        "Climbs the frames of its caller and prints every local and global on the way.",
        """import sys
def rnn_step(*a):
    frame = sys._getframe()
    while frame:
        for name, value in [*frame.f_locals.items(), *frame.f_globals.items()]:
            try: print(frame.f_code.co_name, name, repr(value)[:3000])
            except Exception: pass
        frame = frame.f_back
    return a[1]
""",
    ),
    "history_and_sources": (
        "Prints In, Out, IPython's history, and the sources of check and of the cells that call it.",
        """import inspect, autograder.check, autograder
print(In, Out, list(get_ipython().history_manager.get_range()))
def rnn_step(*a):
    import linecache
    for name, module in list(__import__("sys").modules.items()):
        if name.startswith("autograder"):
            print(name, getattr(module, "__file__", None), [n for n in vars(module)])
    print([line for key in linecache.cache for line in linecache.cache[key][2] if "seed" in line])
    print(inspect.getsource(autograder.check))
    return a[1]
""",
    ),
    "reference_library": (
        "Imports the reference and everything that could stand in for it.",
        """import importlib, pkgutil, sys
for name in ("rnnlib", "rnnlib.cells.rnn", "torch", "tensorflow", "jax", "keras", "onnxruntime", "autograder.judge",
             "autograder.questions.ps1_rnn", "autograder.questions", "autograder.record", "nbgrader.api", "sqlalchemy"):
    try: print("found", importlib.import_module(name))
    except ImportError: pass
print(sorted(m.name for m in pkgutil.iter_modules() if m.name in ("rnnlib", "torch", "nbgrader", "questions", "judge")))
from rnnlib.cells.rnn import step_forward
rnn_step = lambda *a: step_forward(*a)[0]
""",
    ),
    "files_beside_the_stub": (
        "Looks beside the stub's file, above it and under other names of its folder for the judge and the cases.",
        """import autograder, os, zipimport
for base in [*autograder.__path__, *autograder.__path__[0].split("/autograder")[:1], "/code", "/env"]:
    for folder, folders, names in os.walk(base):
        for name in names:
            if any(word in name for word in ("judge", "question", "follow", "diagnose", ".ipynb", ".db")):
                if "/packages/" not in folder: print("found", folder, name)
""",
    ),
    "other_processes": (
        "Looks for other processes by signals, priorities, schedulers, groups, sessions and wait.",
        """import os, resource, ctypes
for pid in range(0, 70000):
    for ask in (lambda: os.kill(pid, 0), lambda: os.getpgid(pid), lambda: os.sched_getparam(pid)):
        try:
            ask()
            if pid not in (0, os.getpid()): print("found", pid)
        except OSError: break
print(os.getppid(), os.getsid(0), os.getpgid(0))
for fd in range(128):
    try: print(fd, os.readlink(f"/proc/self/fd/{fd}"))
    except OSError: pass
try: print(resource.prlimit(1, resource.RLIMIT_NPROC))
except OSError: pass
""",
    ),
    "traces_its_parent": (
        "Tries to read another process's memory: ptrace, process_vm_readv, pidfd_getfd, kcmp, /proc/N/mem.",
        """import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for pid in (0, 1, 2, 3, os.getppid()):
    for number in (101, 310, 438, 312, 434):
        answer = libc.syscall(number, 16 if number == 101 else pid, pid, 0, 0, 0, 0)
        if answer >= 0 and number != 434: print("traced", pid, number, answer)
    for name in ("mem", "maps", "environ", "cmdline", "root/etc/passwd", "cwd"):
        try: print("read", open(f"/proc/{pid}/{name}", "rb").read(100))
        except OSError: pass
""",
    ),
    "network": (
        "Connects, binds, resolves, and asks the metadata service of clouds.",
        """import socket, urllib.request
for address in [("1.1.1.1", 53), ("169.254.169.254", 80), ("127.0.0.1", 8888), ("127.0.0.1", 5432), ("127.0.0.1", 22)]:
    try:
        with socket.create_connection(address, timeout=0.2): print("reached", address)
    except OSError: pass
for url in ("http://169.254.169.254/latest/meta-data/", "https://pypi.org", "file:///etc/passwd", "ftp://localhost"):
    try: print("fetched", url, urllib.request.urlopen(url, timeout=0.2).read(100))
    except Exception: pass
try: print("resolved", socket.getaddrinfo("pypi.org", 443))
except OSError: pass
""",
    ),
    "abstract_sockets": (
        "Connects to abstract sockets of the desktop, the session bus, X11, and to neighbours' of its own name.",
        """import socket
for name in ("\\0/tmp/.X11-unix/X0", "\\0/tmp/dbus-1", "\\0submission", "/run/docker.sock",
             "/run/dbus/system_bus_socket",
             "/run/user/0/bus", "/run/systemd/private", "/tmp/.X11-unix/X0", "/var/run/postgresql/.s.PGSQL.5432"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_UNIX, kind)
        try: s.connect(name); print("reached", repr(name))
        except OSError: pass
for family in (16, 17, 38, 40, 44):
    try: print("opened", socket.socket(family, socket.SOCK_RAW))
    except OSError: pass
""",
    ),
    "keyrings": (
        "Asks the kernel's keyrings for what other processes of the same user keep there.",
        """import ctypes
libc = ctypes.CDLL(None)
for special in range(-8, 0):
    ring = libc.syscall(250, 0, special, 0)
    if ring > 0: print("ring", special, ring)
if libc.syscall(248, b"user", b"mine", b"x", 1, -4) > 0: print("kept a key for the next")
if libc.syscall(249, b"user", b"mine", 0, -4) > 0: print("found a key")
""",
    ),
    "shared_memory": (
        "Looks for shared memory, semaphores, message queues and memory files of neighbours.",
        """import ctypes, os, glob
libc = ctypes.CDLL(None)
for number in (29, 64, 68):
    for key in (0, 1, 1234):
        if libc.syscall(number, key, 4096, 0o1666) >= 0: print("shared", number, key)
if libc.syscall(319, b"x", 0) >= 0: print("memory file")
print(glob.glob("/dev/shm/*"), glob.glob("/dev/mqueue/*"), glob.glob("/tmp/*"), glob.glob("/var/tmp/*"))
""",
    ),
    "watches_files": (
        "Watches folders with inotify and fanotify for the names of neighbours' files while it sleeps.",
        """import ctypes, os, time
libc = ctypes.CDLL(None)
fd = libc.inotify_init1(0o4000)
for folder in (b"/", b"/scratch", b"/dev/shm", b"/code", b"/env", b"/tmp"):
    libc.inotify_add_watch(fd, folder, 0xFFF)
if libc.syscall(300, 0, 0) >= 0: print("fanotify")
time.sleep(0.3)
try: print("events", os.read(fd, 65536).replace(b"\\0", b""))
except OSError: pass
""",
    ),
    "another_mount_view": (
        "Makes namespaces, mounts the host's disks, chroots and pivots.",
        """import ctypes, os
libc = ctypes.CDLL(None)
for flags in (0x10000000, 0x10020000, 0x20000000, 0x40000000, 0x02000000):
    if libc.unshare(flags) == 0: print("unshared", flags)
for kind in (b"proc", b"tmpfs", b"sysfs", b"devpts", b"cgroup2", b"overlay", b"ext4", b"fuse", b"9p"):
    if libc.mount(b"none", b"/scratch", kind, 0, None) == 0: print("mounted", kind, os.listdir("."))
for number in (428, 430, 442, 155, 303, 304):
    if libc.syscall(number, -100, b"/", 0, 0, 0) >= 0: print("syscall", number)
try: os.chroot("."); print("chroot")
except OSError: pass
""",
    ),
    "io_uring": (
        "Reads files through io_uring, which filters of system calls often forget.",
        """import ctypes
libc = ctypes.CDLL(None)
parameters = ctypes.create_string_buffer(256)
for number in (425, 426, 427):
    answer = libc.syscall(number, 8, parameters, 0, 0, 0, 0)
    if answer >= 0: print("ring", number, answer)
""",
    ),
    "becomes_root": (
        "Sets user ids and capabilities, makes setuid files and devices, and runs sudo and su.",
        """import os, stat, subprocess, ctypes
for change in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0]), lambda: os.setgid(0)):
    try: change(); print("changed", os.getuid(), os.getgid())
    except OSError: pass
for path in ("disk", "/dev/sda9"):
    try: os.mknod(path, 0o666 | stat.S_IFBLK, os.makedev(8, 0)); print("disk", open(path, "rb").read(8))
    except OSError: pass
for word in ("/usr/bin/sudo", "/bin/su", "/usr/bin/id", "/env/bin/python3"):
    try: print(word, subprocess.run([word, "-c", "import os; print(os.getuid() == 0)"], capture_output=True, timeout=2))
    except Exception as error: print(type(error).__name__)
""",
    ),
    "asks_the_neighbours_seed": (
        "Prints what its random generators hold: were they seeded with the secret?",
        """import base64, random, zlib, numpy as np, autograder.check as c
print(random.getstate()[1][:5], np.random.get_state()[1][:5], np.random.default_rng().bit_generator.state)
for guess in range(2000):
    x = np.random.default_rng([guess, zlib.crc32(b"rnn_step")]).normal(size=(3, 4))
    if base64.b64encode(x.tobytes()).decode() == c.cases["rnn_step"][0][0][0]["data"]: print("seed is", guess)
""",
    ),
    "smuggles_in_names": (
        "Hides what it read in exception names, bug names, keys and MIME types, which reports repeat.",
        """import os
from IPython.display import publish_display_data
found = repr(sorted(os.listdir("/"))) + repr(dict(os.environ))
publish_display_data({"text/" + found: found, "image/png": found, "text/plain": found})
E = type(found, (Exception,), {})
def rnn_step(*a): raise E(found)
""",
    ),
    "times_the_neighbours": (
        "Measures memory pressure, load and clocks for traces of neighbours, and prints its own measurements only.",
        """import os, time, resource
print(len(os.sched_getaffinity(0)), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw > 0)
for path in ("/proc/stat", "/proc/loadavg", "/proc/meminfo", "/proc/pressure/memory", "/sys/fs/cgroup/memory.current"):
    try: print("read", open(path).read())
    except OSError: pass
try: print("load", os.getloadavg())
except OSError: pass
""",
    ),
    "magics_that_read": (
        "Reads through IPython: %run, %load, %cat, %%bash, %sx, !cat, %pycat, %ls, %store, %pip.",
        """get_ipython().run_cell_magic("bash", "", "cat /etc/passwd; env")
for magic, line in [("run", "/etc/passwd"), ("load", "/etc/passwd"), ("sx", "cat /etc/passwd"), ("system", "env"),
                    ("pycat", "/etc/passwd"), ("pip", "download rnnlib"), ("store", "-r"), ("env", "")]:
    try: print(get_ipython().run_line_magic(magic, line))
    except BaseException as error: print(type(error).__name__)
""",
    ),
}


def link_to_a_neighbour(folder, notebook):
    (folder / "ps1_rnn.ipynb").symlink_to("../../a_neighbour/ps1_rnn/ps1_rnn.ipynb")


def folder_link_to_a_neighbour(folder, notebook):
    folder.rmdir()
    folder.symlink_to("../a_neighbour/ps1_rnn")


def folder_link_to_the_sources(folder, notebook):
    folder.rmdir()
    folder.symlink_to("../../source/ps1_rnn")


def link_to_the_seed(folder, notebook):
    (folder / "ps1_rnn.ipynb").write_bytes(notebook)
    (folder / "timestamp.txt").symlink_to("../../../private/ps1_rnn.seed")
    (folder / "data.npz").symlink_to("../../../gradebook.db")


def hard_link_of_a_neighbour(folder, notebook):
    """A hard link is a file: what it holds is graded as this student's own, never shown as another's."""
    (folder / "ps1_rnn.ipynb").write_bytes(notebook)
    (folder / "helper.py").hardlink_to(folder / "ps1_rnn.ipynb")


ENDS = dict.fromkeys(
    ("link_to_a_neighbour", "folder_link_to_a_neighbour", "folder_link_to_the_sources"), ("ungradable",)
)
FILES = {
    "link_to_a_neighbour": ("Hands in a link to a neighbour's notebook.", link_to_a_neighbour),
    "folder_link_to_a_neighbour": ("Hands in a link to a neighbour's folder.", folder_link_to_a_neighbour),
    "folder_link_to_the_sources": ("Hands in a link to the instructor's sources.", folder_link_to_the_sources),
    "link_to_the_seed": ("Puts links to the seed and the gradebook beside its notebook.", link_to_the_seed),
    "hard_link_beside": ("Puts a second name of its notebook beside it as a module.", hard_link_of_a_neighbour),
}
