"""Time of forward and backward, rnnlib against torch on one CPU thread in float32: `python benchmarks/core.py`.

Each figure is a ratio, torch's median time over rnnlib's, with the two interleaved in the same run; above 1, rnnlib is
faster. OPENBLAS_CORETYPE, which some machines export and which holds NumPy (but not torch) to older instructions, is
unset first, and the architecture that OpenBLAS then chose is printed with the figures.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from rnnlib.cells import rnn

SHAPES = [
    (50, 1, 32, 32),
    (100, 16, 64, 64),
    (100, 32, 64, 128),
    (100, 64, 128, 256),
    (200, 64, 256, 512),
    (1000, 8, 64, 128),
]


def contenders(T: int, N: int, D: int, H: int) -> dict[str, Callable[[], object]]:
    """The same weights and data, once through each library."""
    rng = np.random.default_rng(0)
    module = torch.nn.RNN(D, H)
    weights = [parameter.detach().numpy() for parameter in module.parameters()]
    x, h0, dhs = (rng.standard_normal(shape, np.float32) for shape in ((T, N, D), (N, H), (T, N, H)))
    x_torch, h0_torch = torch.from_numpy(x).requires_grad_(), torch.from_numpy(h0)[None].requires_grad_()
    dhs_torch = torch.from_numpy(dhs)

    def run_rnnlib() -> object:
        _, _, cache = rnn.forward(x, h0, *weights)
        return rnn.backward(dhs, None, cache)

    def run_torch() -> object:
        output, _ = module(x_torch, h0_torch)
        return torch.autograd.grad(output, [x_torch, h0_torch, *module.parameters()], dhs_torch)

    return {"rnnlib": run_rnnlib, "torch": run_torch}


def measure(shape: tuple[int, int, int, int], seconds: float) -> dict[str, float]:
    """Median seconds of each contender, taken in turn until the time is up, and their ratio."""
    runs = contenders(*shape)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["torch"]) < 5:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {**medians, "ratio": medians["torch"] / medians["rnnlib"], "rounds": len(times["torch"])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each shape")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()

    torch.set_num_threads(1)
    architecture = [pool["architecture"] for pool in threadpool_info() if pool["internal_api"] == "openblas"]
    print(f"numpy {np.__version__}, torch {torch.__version__}, OpenBLAS {architecture}, 1 thread, float32")
    print("RNN tanh, forward + backward\n   T   N   D   H   rnnlib ms   torch ms   torch/rnnlib")
    rows = []
    with threadpool_limits(1):
        for shape in SHAPES:
            result = measure(shape, options.seconds)
            rows.append({"shape": shape, **result})
            T, N, D, H = shape
            milliseconds = f"{1e3 * result['rnnlib']:11.3f} {1e3 * result['torch']:10.3f}"
            print(f"{T:4} {N:3} {D:3} {H:3} {milliseconds} {result['ratio']:14.2f}", flush=True)
    if options.json:
        report = {"cell": "rnn_tanh", "openblas": architecture, "rows": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    if os.environ.pop("OPENBLAS_CORETYPE", None):
        os.execv(sys.executable, sys.orig_argv)
    main()
