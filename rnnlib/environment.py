"""What this machine has, and what each missing thing means for the course. Looking is all that is done here.

Optional packages are looked up in the list of installed ones, never imported: torch alone would cost a second.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import escape

PACKAGES = {  # what it means that each is there, and that it is not
    "numpy": ("everything in rnnlib is made of it", ""),
    "anywidget": ("the sliders move", 'the sliders need it: pip install "rnn-notebooks[lab]"'),
    "matplotlib": ("it draws the plots", 'the plots need it: pip install "rnn-notebooks[lab]"'),
    "torch": (
        "the later comparisons with PyTorch will run",
        'fine for now: only the later comparisons with PyTorch want it: pip install "rnn-notebooks[torch]"',
    ),
    "nbgrader": (
        "you could grade a whole class",
        "fine: check() works without it, only those who grade a class need it",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for: what was found ("" if nothing), and what that means for the course."""

    name: str
    found: str
    meaning: str


@dataclass(frozen=True, repr=False)
class Survey:
    """All findings: a table in a notebook, lines in a terminal."""

    findings: tuple[Finding, ...]

    def __repr__(self) -> str:
        wide = max(len(finding.name) for finding in self.findings)
        return "\n".join(f"{f.name:{wide}}  {f.found or 'not here'} · {f.meaning}" for f in self.findings)

    def _repr_html_(self) -> str:
        left = "text-align:left;vertical-align:top"
        rows = "".join(
            f'<tr><th scope="row" style="{left}">{escape(f.name)}</th>'
            f'<td style="{left};white-space:nowrap">{escape(f.found) if f.found else "<em>not here</em>"}</td>'
            f'<td style="{left}">{escape(f.meaning)}</td></tr>'
            for f in self.findings
        )
        head = "".join(f'<th scope="col" style="{left}">{h}</th>' for h in ("", "found", "what it means"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def survey() -> Survey:
    """Look at Python, the packages, the processor cores and, where torch could use one, the GPU."""
    packages = [
        Finding(name, found := version(name), present if found else missing)
        for name, (present, missing) in PACKAGES.items()
    ]
    python = Finding("Python", platform.python_version(), "3.11 or newer is what the course needs")
    return Survey((python, *packages, _cores(usable_cores()), _gpu(version("torch"))))


def version(package: str) -> str:
    """The installed version of a package, without importing it; "" if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def usable_cores() -> int:
    """The processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cores(count: int) -> Finding:
    enough = "enough: lessons are made for two" if count > 1 else "enough, but lessons are made for two: have patience"
    return Finding("cores", str(count), enough)


def _gpu(torch: str) -> Finding:
    if not torch:
        return Finding("GPU", "", "not looked for: only torch would use one. You do not need it")
    gpu = gpu_name()
    if not gpu:
        return Finding("GPU", "", "fine: every lesson runs without one")
    if torch.endswith("+cpu"):
        return Finding("GPU", gpu, f"idle: torch {torch} is the build without GPU support. You do not need it")
    return Finding("GPU", gpu, "the lesson on GPUs will use it; nothing else needs it")


def gpu_name() -> str:
    """The first GPU that torch may know how to use, by NVIDIA's own tool or by Apple's processor; "" if none."""
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple GPU"
    tool = shutil.which("nvidia-smi")
    if not tool:
        return ""
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    name = re.match(r"GPU \d+: (.+?)( \(UUID.*)?$", listed, re.MULTILINE)  # the UUID is nobody's business
    return name[1] if name else ""
