"""How far rnnlib differs from torch, in the last digit: `python benchmarks/parity.py`. Deterministic.

Every row is one network and one batch; the figure is the largest difference of any output, state or gradient between
rnnlib and torch (an explicit loop under autograd, and the fused kernel), relative to the largest entry of its array.
Lengths are random, one of them is 0 where the row says so, and all padding is NaN.
"""

import argparse

import numpy as np
import torch

from rnnlib.recurrent import RNN
from rnnlib.torchref import ParityReport, parity

#        T    N   D   H   K  both   nonlinearity  lengths
CASES = [
    (1, 1, 1, 1, 1, False, "tanh", "full"),
    (50, 1, 32, 32, 1, False, "tanh", "full"),
    (100, 16, 64, 64, 1, False, "tanh", "full"),
    (100, 16, 64, 64, 1, False, "tanh", "random"),
    (100, 16, 64, 64, 1, False, "tanh", "with 0"),
    (100, 16, 64, 64, 1, False, "relu", "random"),
    (60, 8, 16, 32, 3, False, "tanh", "random"),
    (60, 8, 16, 32, 1, True, "tanh", "full"),
    (60, 8, 16, 32, 1, True, "tanh", "random"),
    (60, 8, 16, 32, 3, True, "relu", "random"),
    (60, 8, 16, 32, 3, True, "tanh", "with 0"),
    (1000, 4, 16, 64, 1, False, "tanh", "random"),
]


def run(case: tuple, dtype: type, device: str) -> ParityReport:
    T, N, D, H, K, both, nonlinearity, lengths_are = case
    rng = np.random.default_rng(0)
    layer = RNN(D, H, K, bidirectional=both, nonlinearity=nonlinearity, dtype=dtype, rng=rng)
    x = rng.standard_normal((T, N, D)).astype(dtype)
    h0 = rng.standard_normal((K * layer.directions, N, H)).astype(dtype)
    if lengths_are == "full":
        return parity(layer, x, h0, device=device)
    lengths = rng.integers(1, T + 1, N)
    lengths[0] = 0 if lengths_are == "with 0" else lengths[0]
    x[np.arange(T)[:, None] >= lengths] = np.nan
    return parity(layer, x, h0, lengths, device=device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="of the torch side")
    device = parser.parse_args().device
    print(f"numpy {np.__version__}, torch {torch.__version__}, {device}")
    for dtype in (np.float64, np.float32):
        print(f"\n{dtype.__name__}\n   T  N  D  H K directions nonlinearity lengths     loop    fused  worst in")
        for case in CASES:
            T, N, D, H, K, both, nonlinearity, lengths = case
            report = run(case, dtype, device)
            fused = f"{max(report.fused.values()):8.1e}" if report.fused else "       -"
            worst_in = max(report.loop, key=report.loop.__getitem__)
            network = f"{T:4} {N:2} {D:2} {H:2} {K} {2 if both else 1:10} {nonlinearity:>12} {lengths:>7}"
            print(f"{network} {max(report.loop.values()):8.1e} {fused}  {worst_in}")


if __name__ == "__main__":
    main()
