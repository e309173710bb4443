"""What each step towards the fused kernel buys: `python benchmarks/torchref.py`. On a GPU where there is one.

One layer, forward and backward, in every form of rnnlib.torchref. Each figure is a ratio, the median time of a form
over that of torch's fused layer (cuDNN on a GPU) on the whole batch, with all forms interleaved in the same run; below
1, a form is faster. `packed` runs the fused layer on the valid steps of sequences of 1 to T steps, uniformly drawn: the
others run all T. `rnnlib` is NumPy on one CPU thread, whatever the device.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import SHAPES
from machine import interleave, one_thread

from rnnlib import recurrent
from rnnlib.torchref import Unsupported, compiling, twin
from rnnlib.torchref.parity import rounding

CELLS = "LSTM", "GRU", "RNN"
LARGE = (512, 64, 512, 1024)
QUICK = [(50, 1, 32, 32), (100, 16, 64, 64)]
FORMS = "loop", "compiled", "graph", "compiled graph", "fused"
COLUMNS = "rnnlib", "loop", "compiled", "graph", "compiled graph", "packed"
PRECISIONS = {"fp32": (torch.float32, False), "TF32": (torch.float32, True), "bf16": (torch.bfloat16, False)}


def contenders(
    cell: str, shape: tuple[int, int, int, int], device: str, dtype: torch.dtype
) -> tuple[dict[str, Callable[[], object]], dict[str, str]]:
    """The same weights and data through every form, and the forms that cannot run, with the reason."""
    T, N, D, H = shape
    rng = np.random.default_rng(0)
    layer = getattr(recurrent, cell)(D, H, dtype=np.float32, rng=0)
    x, upstream = rng.standard_normal((T, N, D), np.float32), rng.standard_normal((T, N, H), np.float32)
    lengths = rng.integers(1, T + 1, N).tolist()

    def run_rnnlib() -> object:
        *_, cache = layer.forward(x)
        return layer.backward(upstream, None, cache)

    def form(name: str, counts: list[int] | None) -> Callable[[], object]:
        module = twin(layer, name, device, dtype)
        inputs = torch.from_numpy(x).to(device, dtype).requires_grad_()
        wanted, gradient = [inputs, *module.parameters()], torch.from_numpy(upstream).to(device, dtype)

        def run() -> object:
            output, _ = module(inputs, None, counts)
            gradients = torch.autograd.grad(output, wanted, gradient)
            if device == "cuda":
                torch.cuda.synchronize()
            return gradients

        return run

    torch._dynamo.reset()  # so that each shape is compiled for itself, and not for any size
    compiling.compiled_group.cache_clear()
    runs: dict[str, Callable[[], object]] = {"rnnlib": run_rnnlib} if dtype == torch.float32 else {}
    absent = {} if runs else {"rnnlib": "NumPy has no bfloat16"}
    for name in FORMS:
        run = form(name, None)
        try:
            run()
        except Unsupported as error:
            absent[name] = str(error)
        else:
            runs[name] = run
    return runs | {"packed": form("fused", lengths)}, absent


@contextmanager
def precision(device: str, tf32: bool) -> Iterator[None]:
    """TF32 as asked, on a GPU; a CPU has none."""
    if device == "cpu":
        yield
        return
    with rounding(tf32):
        yield


def measure(shapes: list[tuple[int, int, int, int]], cells: tuple[str, ...], device: str, seconds: float) -> list[dict]:
    """One row for each precision, cell and shape, printed as it comes."""
    rows, told = [], set[str]()
    for name in PRECISIONS if device == "cuda" else ["fp32"]:
        dtype, tf32 = PRECISIONS[name]
        print(f"\nforward + backward, {name} on {device}; times over the fused layer's")
        print("       T   N   D    H  fused ms " + " ".join(f"{column:>14}" for column in COLUMNS))
        for cell in cells:
            for shape in shapes:
                with precision(device, tf32):
                    runs, absent = contenders(cell, shape, device, dtype)
                    times = interleave(runs, seconds)
                ratios = {column: times[column] / times["fused"] for column in times}
                rows.append({"precision": name, "cell": cell, "shape": shape, "seconds": times, "ratios": ratios})
                T, N, D, H = shape
                cells_of_row = (f"{ratios[c]:14.2f}" if c in ratios else f"{'-':>14}" for c in COLUMNS)
                milliseconds = f"{1e3 * times['fused']:9.3f}"
                print(f"{cell:4} {T:4} {N:3} {D:3} {H:4} {milliseconds} {' '.join(cells_of_row)}", flush=True)
                for form, reason in absent.items():
                    if form not in told:
                        told.add(form)
                        print(f"     no {form}: {reason}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each row, beside compiling")
    parser.add_argument("--quick", action="store_true", help="an LSTM in the two smallest shapes, half a second each")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with one_thread() as machine:
        about: dict[str, Any] = {**machine, "device": torch.cuda.get_device_name() if device == "cuda" else "cpu"}
        print(f"device: {about['device']}")
        if options.quick:
            rows = measure(QUICK, CELLS[:1], device, 0.5)
        else:
            rows = measure([*SHAPES, *([LARGE] if device == "cuda" else [])], CELLS, device, options.seconds)
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
