"""The command line that starts Python inside bubblewrap, and what to do where that cannot be.

The sandbox's file system is empty but for the grading environment, this project's few files, /proc, /dev and one
scratch folder: no /usr, no /etc, no /home, nothing of the host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import Any

from autograder.run import inside
from autograder.run.environment import LIBRARIES, PACKAGES, Environment
from autograder.run.outcome import SandboxUnavailable

CODE, ENVIRONMENT, SCRATCH = "/code", "/env", "/scratch"
FIRST_UID, UIDS = 64_000, 1_000  # below 65534 (nobody), above what systems give to people and services
PODMAN = (
    "podman run --rm -it --security-opt seccomp=unconfined --security-opt unmask=ALL -v .:/course -w /course "
    "docker.io/library/python:3.12 bash -c 'apt-get update && apt-get install -y bubblewrap && "
    'pip install "rnn-notebooks[grade]" && autograder grade ...\''
)
RECIPES = {
    "darwin": "On macOS, grade in a container, in the course's folder: brew install podman; "
    f"podman machine init --now; {PODMAN}",
    "win32": "On Windows, grade in WSL2: wsl --install -d Ubuntu; then in Ubuntu: sudo apt install bubblewrap "
    'python3-venv; python3 -m venv grading; grading/bin/pip install "rnn-notebooks[grade]". Or in podman: ' + PODMAN,
}
ELSEWHERE = f"Where none of this can be had, grade in WSL2 (Windows) or in a container: {PODMAN}"


def find() -> str:
    """The path of bwrap.

    Raises:
        SandboxUnavailable: not on Linux, or bubblewrap is not installed.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(
            f"the sandbox needs Linux, this is {sys.platform}. {RECIPES.get(sys.platform, PODMAN)}"
        )
    path = shutil.which("bwrap")
    if path is None:
        raise SandboxUnavailable(f"bubblewrap is not installed: apt install bubblewrap (or dnf, pacman). {ELSEWHERE}")
    return path


def version() -> str:
    """What bwrap calls itself, as "bubblewrap 0.8.0"."""
    return subprocess.run([find(), "--version"], capture_output=True, text=True, check=False).stdout.strip()


def command(environment: Environment, files: dict[str, int], module: str) -> list[str]:
    """The command line.

    Args:
        environment: the grading environment.
        files: open descriptors of this project's files, by path.
        module: whose `main` to start.
    """
    expected, name = environment.loader
    words = [find(), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += ["--hostname", "sandbox"]
    settings = {**inside.SETTINGS, "HOME": SCRATCH, "TMPDIR": SCRATCH, "IPYTHONDIR": f"{SCRATCH}/.ipython"}
    settings |= {"MPLCONFIGDIR": f"{SCRATCH}/.matplotlib", "LD_LIBRARY_PATH": f"{ENVIRONMENT}/{LIBRARIES}", "PATH": ""}
    for key, value in sorted(settings.items()):
        words += ["--setenv", key, value]
    words += ["--ro-bind", str(environment.root), ENVIRONMENT]
    words += ["--symlink", f"{ENVIRONMENT}/{LIBRARIES}/{name}", expected]
    for path, descriptor in files.items():
        words += ["--ro-bind-data", str(descriptor), f"{CODE}/{path}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", SCRATCH, "--remount-ro", "/dev", "--remount-ro", "/"]
    words += ["--chdir", SCRATCH, "--"]
    start = inside.start(module, jailed=True, before=[], after=[CODE, f"{ENVIRONMENT}/{PACKAGES}", SCRATCH])
    return [*words, f"{ENVIRONMENT}/bin/python3", "-P", "-s", "-S", "-c", start]


def identity() -> dict[str, Any]:
    """Who starts it, as keywords of Popen: root gives way to a user that owns nothing."""
    if os.geteuid() != 0:
        return {}
    uid = FIRST_UID + os.getpid() % UIDS
    return {"user": uid, "group": uid, "extra_groups": []}


def explain(said: str) -> str:
    """Why bubblewrap did not start, and the fix, from what it said on stderr."""
    lines = [f"the sandbox could not be started: {said.strip()[-500:] or 'no message'}."]
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        lines.append(
            "This system's AppArmor forbids user namespaces to programs without a profile (Ubuntu 23.10 and later). "
            "As root, write to /etc/apparmor.d/bwrap: 'abi <abi/4.0>, include <tunables/global> "
            f"profile bwrap {shutil.which('bwrap')} flags=(unconfined) {{ userns, }}' and reload AppArmor."
        )
    if _reads("/proc/sys/user/max_user_namespaces") == "0":
        lines.append("User namespaces are switched off: sysctl user.max_user_namespaces=15000.")
    if _reads("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        lines.append("Unprivileged user namespaces are switched off: sysctl kernel.unprivileged_userns_clone=1.")
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        lines.append(
            "This is a container: it must allow namespaces inside (podman run --security-opt seccomp=unconfined "
            "--security-opt unmask=ALL; docker run --security-opt seccomp=unconfined "
            "--security-opt apparmor=unconfined --security-opt systempaths=unconfined)."
        )
    return " ".join([*lines, ELSEWHERE])


def _reads(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
