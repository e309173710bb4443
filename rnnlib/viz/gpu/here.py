"""The note on top of lesson 23: where it runs, and what another machine would change. Nothing is measured here."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any, NoReturn

from rnnlib.environment import gpu_name, usable_cores

ON_A_GPU = (
    "the host would launch operations and run ahead of them; arithmetic would cost less, so that launches weigh more; "
    "`fused` would be cuDNN; `graph` would run, and not only say why it cannot; copies to the device, pinned memory "
    "and halves would get numbers of their own"
)


class Absent:
    """Stands for what could not be imported: whatever is asked of it, it says why.

    Args:
        error: of the import.
    """

    def __init__(self, error: ImportError) -> None:
        extra = 'pip install "rnn-notebooks[torch]"'
        self._reason = str(error) if extra in str(error) else f"{error}; {extra}"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(f"this cell needs torch: {self._reason}")

    def __call__(self, *arguments: Any, **options: Any) -> NoReturn:
        raise ImportError(f"this cell needs torch: {self._reason}")

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return self._reason


def cpu_name(listing: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the system has it, or its kind."""
    if listing.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", listing.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return " ".join(found[1].split())
    return platform.processor() or platform.machine() or "a CPU of unknown name"


def note(gpu: str | None, absent: Absent | None = None) -> str:
    """Where the lesson runs, in Markdown.

    Args:
        gpu: its name, where torch uses one; None: torch computes on the CPU.
        absent: what stands for torch where it is not installed.
    """
    cores = f"one thread of {cpu_name()} ({usable_cores()} core{'s' if usable_cores() > 1 else ''} could be used)"
    if absent is not None:
        return (
            f"**No torch here:** {absent}. What needs only NumPy runs, on {cores}: intensity, number formats, the kept "
            "study, checkpointing. A cell that needs torch stops and says so, and *Run all* stops with it: run the "
            "cells one by one. A name that is then missing (NameError) is of a cell that stopped."
        )
    if gpu:
        return (
            f"**This runs on {gpu}**, and NumPy beside it on {cores}. The lesson was written and tested on CPUs: where "
            "its text and your numbers disagree, believe your numbers."
        )
    idle = gpu_name()
    why = f" There is one, {idle}, which this build of torch cannot use." if idle else ""
    return (
        f"**No GPU here.**{why} What follows runs on {cores}. Every cell uses `device`, chosen above, and would use a "
        f"GPU unchanged. What a GPU would change: {ON_A_GPU}. By how much, no number below says: none was measured on "
        "a GPU."
    )
