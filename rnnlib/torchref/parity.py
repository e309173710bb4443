"""One set of weights and data through rnnlib, the torch loop and the fused kernel: how far do they differ?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from rnnlib.recurrent.stack import Stack, State
from rnnlib.torchref.convert import to_torch
from rnnlib.torchref.run import as_tuple, fused, loop


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
    layer: Stack,
    x: np.ndarray,
    state: State | None = None,
    lengths: ArrayLike | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    seed: int = 0,
) -> ParityReport:
    """Run the three forward and backward on the same weights, data and random upstream gradients, and compare.

    Args:
        layer: an RNN, GRU or LSTM of `rnnlib.recurrent`, in evaluation.
        x: (T, N, D); NaN in the padding is allowed, and is the harder test.
        state: (K * directions, N, H), for an LSTM the pair of h and c; None: zero.
        lengths: (N,); None: every sequence has T steps.
        device, dtype: of the torch side; dtype None: the layer's. TF32 is off, since it rounds to three digits.
        seed: of the upstream gradients of the output and the last state.

    Raises:
        ValueError: torch has no equivalent of the layer; see `to_torch`.
    """
    output, final, cache = layer.forward(x, state, lengths)
    last = [final] if isinstance(final, np.ndarray) else list(final)
    rng = np.random.default_rng(seed)
    doutput, *dlast = (rng.standard_normal(a.shape).astype(layer.dtype) for a in (output, *last))
    dx, dstate, gradients = layer.backward(doutput, layer.joined(dlast), cache)
    dfirst = [dstate] if isinstance(dstate, np.ndarray) else list(dstate)
    ours = {"output": output, **dict(zip(("h_n", "c_n"), last, strict=False)), "dx": dx}
    ours |= {**dict(zip(("dh0", "dc0"), dfirst, strict=False)), **gradients}

    module = to_torch(layer, device, dtype)
    module.eval()  # where nothing is dropped between layers
    first = layer.states(["h0", "c0"][: len(last)], state, x.shape[1])
    counts = None if lengths is None else np.asarray(lengths).tolist()

    def differences(run: Callable) -> dict[str, float]:
        tensors = [torch.from_numpy(a.copy()).to(module.weight_ih_l0) for a in (x, *first, doutput, *dlast)]
        theirs = run_torch(run, module, tensors, counts)
        return {name: relative_difference(ours[name], theirs[name]) for name in ours}

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        fusable = counts is None or min(counts) > 0
        return ParityReport(differences(loop), differences(fused) if fusable else {})


def run_torch(
    run: Callable, module: torch.nn.RNNBase, tensors: list[torch.Tensor], lengths: list[int] | None
) -> dict[str, np.ndarray]:
    """Output, states and every gradient of one torch form, as NumPy arrays.

    The tensors are x, the initial states, and the upstream gradients of the output and of the last states.
    """
    half = len(tensors) // 2
    inputs, upstream = tensors[:half], tensors[half:]
    for tensor in inputs:
        tensor.requires_grad_()
    x, *states = inputs
    output, last = run(module, x, tuple(states) if len(states) == 2 else states[0], lengths)
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad((output, *as_tuple(last)), (*inputs, *parameters), upstream)
    labels = ["output", *["h_n", "c_n"][: len(states)], "dx", *["dh0", "dc0"][: len(states)], *names]
    results = dict(zip(labels, (output, *as_tuple(last), *gradients), strict=True))
    return {name: tensor.detach().cpu().numpy() for name, tensor in results.items()}


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b|, relative to the largest entry of either; 0 where both are zero, NaN where either has one."""
    scale = max(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / scale) if scale else 0.0
