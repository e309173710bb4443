"""Added peak memory of one forward and backward, rnnlib against torch: `python benchmarks/memory.py`.

Each figure comes from a fresh process: how far the resident set rises above what it was just before, with weights, data
and upstream gradients already there. The ratio is rnnlib's rise over torch's; below 1, rnnlib needs less. Linux only.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

SHAPES = [(100, 64, 128, 256), (200, 64, 256, 512), (1000, 8, 64, 128), (1000, 32, 64, 256)]
WAYS = "torch", "rnnlib", "checkpoint"


def resident(field: str) -> int:
    """VmRSS, the memory that is held, or VmHWM, the most that was, in KiB."""
    match = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert match, "needs Linux"
    return int(match[1])


def prepare(way: str, cell: str, T: int, N: int, D: int, H: int) -> Callable[[], object]:
    """A run with everything made that is not the run's own."""
    rng = np.random.default_rng(0)
    x, dhs = rng.standard_normal((T, N, D), np.float32), rng.standard_normal((T, N, H), np.float32)
    if way == "torch":
        import torch

        torch.set_num_threads(1)
        module = getattr(torch.nn, cell)(D, H)
        x_torch, dhs_torch = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dhs)

        def run_torch() -> object:
            output, _ = module(x_torch)
            return torch.autograd.grad(output, [x_torch, *module.parameters()], dhs_torch)

        return run_torch
    from rnnlib import recurrent

    layer = getattr(recurrent, cell)(D, H, checkpoint=way == "checkpoint", dtype=np.float32, rng=0)

    def run_rnnlib() -> object:
        *_, cache = layer.forward(x)
        return layer.backward(dhs, None, cache)

    return run_rnnlib


def rise(way: str, cell: str, shape: tuple[int, int, int, int]) -> float:
    """MiB that one run adds, in this process; a small run first brings in whatever loads lazily."""
    prepare(way, cell, 3, 2, 4, 4)()
    run = prepare(way, cell, *shape)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    run()
    return (resident("VmHWM") - before) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--one", nargs=3, metavar=("WAY", "CELL", "SHAPE"), help="print one rise and stop")
    options = parser.parse_args()
    if options.one:
        way, cell, shape = options.one
        print(rise(way, cell, tuple(map(int, shape.split(",")))))
        return
    print("added peak, MiB, float32\n       T   N   D   H    torch   rnnlib  ratio  checkpointed  ratio")
    rows = []
    for cell in ("LSTM", "GRU", "RNN"):
        for shape in SHAPES:
            arguments = [cell, ",".join(map(str, shape))]
            command = [sys.executable, __file__, "--one"]
            peaks = {way: float(subprocess.check_output([*command, way, *arguments])) for way in WAYS}
            ratios = {way: peaks[way] / peaks["torch"] for way in WAYS[1:]}
            rows.append({"cell": cell, "shape": shape, "mebibytes": peaks, "ratios": ratios})
            T, N, D, H = shape
            own = f"{peaks['torch']:8.1f} {peaks['rnnlib']:8.1f} {ratios['rnnlib']:6.2f}"
            print(f"{cell:4} {T:4} {N:3} {D:3} {H:3} {own} {peaks['checkpoint']:13.1f} {ratios['checkpoint']:6.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
