"""The few files of this project that exist inside a sandbox, and how the process there is started.

`check` is the stub there; rnnlib, the questions, the judge and everything else are not.
"""

from __future__ import annotations

from pathlib import Path

_RUN = Path(__file__).parent
_PACKAGE = _RUN.parent

FILES = {
    "autograder/__init__.py": None,
    "autograder/wire.py": _PACKAGE / "wire.py",
    "autograder/ask.py": _PACKAGE / "ask.py",
    "autograder/check.py": _RUN / "sandboxed_check.py",
    "autograder/run/__init__.py": None,
    "autograder/run/frames.py": _RUN / "frames.py",
    "autograder/run/in_kernel.py": _RUN / "in_kernel.py",
    "autograder/run/jail.py": _RUN / "jail.py",
    "autograder/run/seccomp.py": _RUN / "seccomp.py",
    "autograder/run/server.py": _RUN / "server.py",
    "autograder/run/session.py": _RUN / "session.py",
    "autograder/run/shell.py": _RUN / "shell.py",
}

SETTINGS = {
    "LANG": "C.UTF-8",
    "LOGNAME": "learner",
    "MALLOC_ARENA_MAX": "2",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
    "USER": "learner",
}


def contents() -> dict[str, bytes]:
    """Every file by its path; packages are empty inside."""
    return {name: path.read_bytes() if path else b"" for name, path in FILES.items()}


def start(module: str, jailed: bool, before: list[str], after: list[str]) -> str:
    """The Python text that starts `module`'s `main`, with folders to search before and after Python's own."""
    return (
        "import sys, site\n"
        f"sys.path[:0] = {before!r}\n"
        f"sys.path += {after!r}\n"
        "site.sethelper()\n"
        f"from {module} import main\n"
        f"main(jailed={jailed})\n"
    )
