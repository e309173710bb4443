"""What every benchmark of the core says first, and how two contenders are timed: in turn, by their medians."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

CORETYPE = "OPENBLAS_CORETYPE"  # some machines export it; it holds NumPy, but not torch, to older instructions


@contextmanager
def one_thread() -> Iterator[dict[str, Any]]:
    """Everything on one thread; gives, and prints, what the figures depend on."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        blas = [pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
        about = {
            "numpy": np.__version__,
            "torch": torch.__version__,
            "openblas": blas[0] if blas else "not OpenBLAS",
            "coretype": os.environ.get(CORETYPE, ""),
            "threads": 1,
        }
        setting = f"{CORETYPE}={about['coretype']}" if about["coretype"] else f"{CORETYPE} unset"
        print(f"numpy {np.__version__}, torch {torch.__version__}, OpenBLAS {about['openblas']} ({setting}), 1 thread")
        yield about


def interleave(runs: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """Median seconds of each run, all taken in turn until the time is up, at least five times each."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def under_each_coretype(arguments: list[str]) -> None:
    """Run this script again, with OPENBLAS_CORETYPE unset and, where it was found set, as it was."""
    found = os.environ.get(CORETYPE)
    clean = {name: value for name, value in os.environ.items() if name != CORETYPE}
    for environment in [clean, *([dict(os.environ)] if found else [])]:
        subprocess.run([sys.executable, sys.argv[0], *arguments, "--here"], env=environment, check=True)
