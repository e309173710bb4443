"""How far rnnlib differs from torch, in the last digit: `python benchmarks/parity.py`. Deterministic.

Every row is one network and one batch; the figure is the largest difference of any output, state or gradient between
rnnlib and torch (an explicit loop under autograd, and the fused kernel, packed where there are lengths), relative to
the largest entry of its array. Lengths are random, one of them is 0 where the row says so, and all padding is NaN.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from rnnlib.recurrent import GRU, LSTM, RNN
from rnnlib.torchref import ParityReport, parity

KINDS = {"rnn": (RNN, {}), "relu": (RNN, {"nonlinearity": "relu"}), "gru": (GRU, {}), "lstm": (LSTM, {})}
#      T   N   D   H  K  both   lengths
CASES = [
    (1, 1, 1, 1, 1, False, "full"),
    (50, 1, 32, 32, 1, False, "full"),
    (100, 16, 64, 64, 1, False, "full"),
    (100, 16, 64, 64, 1, False, "random"),
    (100, 16, 64, 64, 1, False, "with 0"),
    (60, 8, 16, 32, 3, False, "random"),
    (60, 8, 16, 32, 1, True, "random"),
    (60, 8, 16, 32, 3, True, "with 0"),
    (1000, 4, 16, 64, 1, False, "random"),
]


def run(kind: str, case: tuple, dtype: type, device: str) -> ParityReport:
    T, N, D, H, K, both, lengths_are = case
    rng, (layer_type, options) = np.random.default_rng(0), KINDS[kind]
    layer = layer_type(D, H, K, bidirectional=both, dtype=dtype, rng=rng, **options)
    x = rng.standard_normal((T, N, D)).astype(dtype)
    states = [rng.standard_normal((K * layer.directions, N, H)).astype(dtype) for _ in layer.state_names]
    if lengths_are == "full":
        return parity(layer, x, layer.joined(states), ways=("loop", "fused"), device=device)
    lengths = rng.integers(1, T + 1, N)
    lengths[0] = 0 if lengths_are == "with 0" else lengths[0]
    x[np.arange(T)[:, None] >= lengths] = np.nan
    return parity(layer, x, layer.joined(states), lengths, ways=("loop", "packed"), device=device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="of the torch side")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    print(f"numpy {np.__version__}, torch {torch.__version__}, {options.device}")
    rows = []
    for dtype in (np.float64, np.float32):
        print(f"\n{dtype.__name__}\n        T  N  D  H K directions lengths     loop    fused  worst in")
        for kind in KINDS:
            for case in CASES:
                T, N, D, H, K, both, lengths = case
                report = run(kind, case, dtype, options.device)
                rows.append({"kind": kind, "case": case, "dtype": dtype.__name__, "worst": report.worst})
                worst = {way: max(values.values()) for way, values in report.differences.items()}
                loop, kernel = report.differences["loop"], worst.get("fused", worst.get("packed"))
                fused = "       -" if kernel is None else f"{kernel:8.1e}"
                worst_in = max(loop, key=loop.__getitem__)
                network = f"{kind:4} {T:4} {N:2} {D:2} {H:2} {K} {2 if both else 1:10} {lengths:>7}"
                print(f"{network} {worst['loop']:8.1e} {fused}  {worst_in}")
        print(f"worst of all: {max(row['worst'] for row in rows if row['dtype'] == dtype.__name__):.1e}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
