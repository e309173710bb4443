"""One set of weights and data through rnnlib, the torch loop and the fused kernel: how far do they differ?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from rnnlib.recurrent import RNN
from rnnlib.torchref.convert import to_torch
from rnnlib.torchref.run import rnn_fused, rnn_loop


@dataclass(frozen=True)
class ParityReport:
    """Largest differences from rnnlib, relative to the largest entry, by what is compared; printing it gives a table.

    Attributes:
        loop: of the torch loop, for output, h_n, dx, dh0 and every parameter's gradient.
        fused: the same of the fused kernel; empty where it cannot run (a length of 0).
    """

    loop: dict[str, float]
    fused: dict[str, float]

    @property
    def worst(self) -> float:
        """The largest of all; NaN if any is."""
        return float(np.max([*self.loop.values(), *self.fused.values()]))

    def __str__(self) -> str:
        width = max(map(len, self.loop))
        lines = [f"{'':{width}}     loop    fused"]
        for name, difference in self.loop.items():
            fused = f"{self.fused[name]:8.1e}" if self.fused else "       -"
            lines.append(f"{name:{width}} {difference:8.1e} {fused}")
        return "\n".join(lines)


def parity(
    layer: RNN,
    x: np.ndarray,
    h0: np.ndarray | None = None,
    lengths: ArrayLike | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> ParityReport:
    """Run the three forward and backward on the same weights, data and random upstream gradients, and compare.

    Args:
        layer: from `rnnlib.recurrent`.
        x: (T, N, D); NaN in the padding is allowed, and is the harder test.
        h0: (K * directions, N, H); None: zero.
        lengths: (N,); None: every sequence has T steps.
        device, dtype: of the torch side; dtype None: the layer's. TF32 is off, since it rounds to three digits.
        seed: of the upstream gradients of output and h_n.
    """
    output, h_n, cache = layer.forward(x, h0, lengths)
    rng = np.random.default_rng(seed)
    doutput, dh_n = (rng.standard_normal(a.shape).astype(layer.dtype) for a in (output, h_n))
    dx, dh0, gradients = layer.backward(doutput, dh_n, cache)
    ours = {"output": output, "h_n": h_n, "dx": dx, "dh0": dh0, **gradients}

    module = to_torch(layer, device, dtype)
    start = np.zeros_like(h_n) if h0 is None else h0

    counts = None if lengths is None else np.asarray(lengths).tolist()

    def differences(run: Callable) -> dict[str, float]:
        tensors = [torch.from_numpy(a.copy()).to(module.weight_ih_l0) for a in (x, start, doutput, dh_n)]
        theirs = run_torch(run, module, tensors, counts)
        return {name: relative_difference(ours[name], theirs[name]) for name in ours}

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        fusable = counts is None or min(counts) > 0
        return ParityReport(differences(rnn_loop), differences(rnn_fused) if fusable else {})


def run_torch(
    run: Callable, module: torch.nn.RNN, tensors: list[torch.Tensor], lengths: list[int] | None
) -> dict[str, np.ndarray]:
    """Output, state and every gradient of one torch form, as NumPy arrays; tensors are x, h0, doutput and dh_n."""
    x, h0, doutput, dh_n = tensors
    x.requires_grad_()
    h0.requires_grad_()
    output, h_n = run(module, x, h0, lengths)
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad((output, h_n), (x, h0, *parameters), (doutput, dh_n))
    results = dict(zip(("output", "h_n", "dx", "dh0", *names), (output, h_n, *gradients), strict=True))
    return {name: tensor.detach().cpu().numpy() for name, tensor in results.items()}


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b|, relative to the largest entry of either; 0 where both are zero, NaN where either has one."""
    scale = max(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / scale) if scale else 0.0
