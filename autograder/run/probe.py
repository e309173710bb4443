"""Proves on this machine that the walls stand: starts a real sandbox and lets a notebook try them."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path

from autograder.run import bubblewrap, inside
from autograder.run.client import Sandbox
from autograder.run.outcome import Limits, Outcome, SandboxUnavailable

FORBIDDEN_MODULES = ("rnnlib", "torch", "nbgrader", "autograder.judge", "autograder.questions")
ATTEMPTS = """
import importlib.util, json, os, socket
from IPython.display import display

def opens(path):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).close()
        return True
    except OSError:
        return False

def writes(folder):
    try:
        open(os.path.join(folder, "probe"), "w").close()
        return True
    except OSError:
        return False

def connects(address):
    try:
        socket.create_connection(address, timeout=0.2).close()
        return True
    except OSError:
        return False

def importable(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False

findings = [
    "it runs as root" * (os.getuid() == 0),
    "its host name is the host's" * (os.uname().nodename == HOST),
    *(f"it sees the host's {name}" for name, value in VARIABLES if os.environ.get(name) == value),
    "there is a network" * any(connects(address) for address in ADDRESSES),
    *(f"it can read {path}" for path in PATHS if opens(path)),
    *(f"it can write to {path}" for path in ["/", "/env", "/code", "/dev", "/proc", "/tmp"] if writes(path)),
    *(f"it can import {name}" for name in MODULES if importable(name)),
]
print(json.dumps([finding for finding in findings if finding]))
"""


def probe(kind: type[Sandbox] = Sandbox) -> str:
    """Start a sandbox and try its walls from inside.

    Args:
        kind: which way to run.

    Returns:
        One line that says what stands.

    Raises:
        SandboxUnavailable: it cannot be started, or a wall does not stand; the message says which.
    """
    with (
        tempfile.NamedTemporaryFile(prefix="probe-") as canary,
        socket.create_server(("127.0.0.1", 0)) as listener,
        kind(Limits(cell_seconds=5)) as box,
    ):
        folders = [str(Path.home()), os.getcwd(), str(Path(__file__).parent), "/etc", "/usr", "/home", "/root", "/tmp"]
        targets = {
            "HOST": os.uname().nodename,
            "PATHS": [path for path in [canary.name, *folders] if path != "/"],
            "VARIABLES": [pair for pair in os.environ.items() if pair[0] not in (*inside.SETTINGS, "LC_CTYPE")],
            "MODULES": FORBIDDEN_MODULES,
            "ADDRESSES": [listener.getsockname(), ("1.1.1.1", 53)],
        }
        outcome = box.run([f"globals().update({targets!r})", ATTEMPTS], {})
    open_doors = _findings(outcome)
    if open_doors:
        raise SandboxUnavailable("the sandbox has holes on this machine: " + "; ".join(open_doors))
    return f"sandbox works: {bubblewrap.version()}, no network, no host files, no privileges, nothing to import"


def _findings(outcome: Outcome) -> list[str]:
    last = outcome.cells[-1]
    if last is None or last.error or not last.outputs:
        raise SandboxUnavailable(f"the sandbox does not run notebooks: {last.error if last else outcome.detail}")
    return list(json.loads(last.outputs[0]["text"]))
