"""Time of forward and backward, rnnlib against torch on one CPU thread in float32: `python benchmarks/core.py`.

Each figure is a ratio, torch's median time over rnnlib's, with the two interleaved in the same run; above 1, rnnlib is
faster. The last rows have sequences of 10 to 100 steps, packed on both sides. Everything runs with OPENBLAS_CORETYPE
unset and, where it was found set, once more as it was.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from machine import interleave, one_thread, under_each_coretype
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnlib.cells import gru, lstm, rnn

CELLS = {"LSTM": lstm, "GRU": gru, "RNN": rnn}
SHAPES = [
    (50, 1, 32, 32),
    (100, 16, 64, 64),
    (100, 32, 64, 128),
    (100, 64, 128, 256),
    (200, 64, 256, 512),
    (1000, 8, 64, 128),
]
RAGGED = [(100, 32, 64, 128), (100, 64, 128, 256)]


def contenders(
    name: str, T: int, N: int, D: int, H: int, lengths: np.ndarray | None = None
) -> dict[str, Callable[[], object]]:
    """The same weights and data, once through each library."""
    rng, cell = np.random.default_rng(0), CELLS[name]
    module = getattr(torch.nn, name)(D, H)
    weights = [parameter.detach().numpy() for parameter in module.parameters()]
    x, dhs = rng.standard_normal((T, N, D), np.float32), rng.standard_normal((T, N, H), np.float32)
    states = [rng.standard_normal((N, H), np.float32) for _ in range(2 if name == "LSTM" else 1)]
    x_torch, dhs_torch = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dhs)
    start = [torch.from_numpy(state)[None].requires_grad_() for state in states]
    state = tuple(start) if name == "LSTM" else start[0]
    counts = None if lengths is None else torch.from_numpy(lengths)

    def run_rnnlib() -> object:
        *_, cache = cell.forward(x, *states, *weights, lengths)
        return cell.backward(dhs, *[None] * len(states), cache)

    def run_torch() -> object:
        if counts is None:
            output, _ = module(x_torch, state)
        else:
            packed, _ = module(pack_padded_sequence(x_torch, counts, enforce_sorted=False), state)
            output, _ = pad_packed_sequence(packed, total_length=T)
        return torch.autograd.grad(output, [x_torch, *start, *module.parameters()], dhs_torch)

    return {"rnnlib": run_rnnlib, "torch": run_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each row")
    parser.add_argument("--json", type=Path, help="add the figures to this file, a line for each setting")
    parser.add_argument("--here", action="store_true", help="run once, in this environment")
    options = parser.parse_args()
    if not options.here:
        arguments = ["--seconds", str(options.seconds), *(["--json", str(options.json)] if options.json else [])]
        return under_each_coretype(arguments)

    with one_thread() as about:
        print("forward + backward, float32\n       T   N   D   H  lengths   rnnlib ms   torch ms   torch/rnnlib")
        rows = []
        for name in CELLS:
            for shape in [*SHAPES, *(RAGGED if name == "LSTM" else [])]:
                ragged = len(rows) >= len(SHAPES) and name == "LSTM"
                lengths = np.random.default_rng(1).integers(10, shape[0] + 1, shape[1]) if ragged else None
                times = interleave(contenders(name, *shape, lengths), options.seconds)
                ratio = times["torch"] / times["rnnlib"]
                rows.append({"cell": name, "shape": shape, "ragged": ragged, **times, "ratio": ratio})
                T, N, D, H = shape
                milliseconds = f"{1e3 * times['rnnlib']:11.3f} {1e3 * times['torch']:10.3f}"
                kind = "10-100" if ragged else "full"
                print(f"{name:4} {T:4} {N:3} {D:3} {H:3} {kind:>8} {milliseconds} {ratio:14.2f}", flush=True)
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps({**about, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
