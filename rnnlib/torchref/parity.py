"""One set of weights and data through every way to run it that is here: how far do they differ from rnnlib?"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from rnnlib.recurrent.stack import Stack, State
from rnnlib.torchref import keras_layers, onnx_models
from rnnlib.torchref.compiling import UNROLL, compiled
from rnnlib.torchref.convert import to_torch
from rnnlib.torchref.modules import twin
from rnnlib.torchref.recording import graph
from rnnlib.torchref.run import Unsupported, as_tuple, fused, loop

WAYS = "loop", "compiled", "graph", "fused", "packed", "keras", "onnx"
Results = dict[str, np.ndarray]


@dataclass(frozen=True)
class ParityReport:
    """Largest differences from rnnlib, relative to the largest entry, by what is compared; printing it gives a table.

    Attributes:
        differences: by the way of running, then by output, h_n, dx, dh0 and every parameter's gradient (ONNX has no
            gradients). An LSTM also has c_n and dc0.
        absent: the ways that did not run, and why.
        numbers: the precision of the compared numbers on both sides, where they were computed, and whether TF32 was on.
    """

    differences: dict[str, dict[str, float]]
    absent: dict[str, str]
    numbers: str

    @property
    def worst(self) -> float:
        """The largest of all; NaN if any is, or if nothing was compared."""
        found = [value for way in self.differences.values() for value in way.values()]
        return float(np.max(found)) if found else float("nan")

    def __str__(self) -> str:
        names = list(dict.fromkeys(name for way in self.differences.values() for name in way))
        width = max(map(len, ["", *names]))
        lines = [self.numbers, f"{'':{width}} " + " ".join(f"{way:>8}" for way in self.differences)]
        for name in names:
            values = (way.get(name) for way in self.differences.values())
            cells = (f"{'-':>8}" if value is None else f"{value:8.1e}" for value in values)
            lines.append(f"{name:{width}} " + " ".join(cells))
        return "\n".join([*lines, *(f"no {way}: {reason}" for way, reason in self.absent.items())])


@dataclass(frozen=True)
class Problem:
    """What every way is given, in NumPy.

    Attributes:
        first: the initial states, each (K * directions, N, H).
        upstream: the gradients of the output and of the last states.
        training: the seed of what is dropped and held; None: evaluation.
    """

    layer: Stack
    x: np.ndarray
    first: list[np.ndarray]
    lengths: list[int] | None
    upstream: list[np.ndarray]
    device: torch.device | str
    dtype: torch.dtype | None
    training: int | None


def parity(
    layer: Stack,
    x: np.ndarray,
    state: State | None = None,
    lengths: ArrayLike | None = None,
    *,
    ways: Sequence[str] = WAYS,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    tf32: bool = False,
    training: int | None = None,
    seed: int = 0,
) -> ParityReport:
    """Run all ways forward and backward on the same weights, data and random upstream gradients, and compare.

    Args:
        layer: an RNN, GRU or LSTM of `rnnlib.recurrent`.
        x: (T, N, D); NaN in the padding is allowed, and is the harder test.
        state: (K * directions, N, H), for an LSTM the pair of h and c; None: zero.
        lengths: (N,); None: every sequence has T steps.
        ways: which to run. "compiled" takes tens of seconds on a CPU; "fused" is torch's kernel on the whole
            batch, "packed" on the valid steps only.
        device, dtype: of torch; dtype None: the layer's.
        tf32: let a GPU round the factors of float32 products to ten bits; without it they are compared in full.
        training: a seed: in training, with the masks that the layer draws from it; None: in evaluation.
        seed: of the upstream gradients of the output and the last state.

    Raises:
        ValueError: there is no such way.
    """
    unknown = [way for way in ways if way not in WAYS]
    if unknown:
        raise ValueError(f"there is no way {unknown[0]!r}: expected some of {', '.join(WAYS)}")
    rng = None if training is None else np.random.default_rng(training)
    output, final, cache = layer.forward(x, state, lengths, rng=rng)
    last = [final] if isinstance(final, np.ndarray) else list(final)
    draws = np.random.default_rng(seed)
    doutput, *dlast = (draws.standard_normal(a.shape).astype(layer.dtype) for a in (output, *last))
    dx, dstate, gradients = layer.backward(doutput, layer.joined(dlast), cache)
    dfirst = [dstate] if isinstance(dstate, np.ndarray) else list(dstate)
    ours = {"output": output, **dict(zip(("h_n", "c_n"), last, strict=False)), "dx": dx}
    ours |= {**dict(zip(("dh0", "dc0"), dfirst, strict=False)), **gradients}

    first = layer.states(["h0", "c0"][: len(last)], state, x.shape[1])
    counts = None if lengths is None else np.asarray(lengths).tolist()
    problem = Problem(layer, x, first, counts, [doutput, *dlast], device, dtype, training)
    differences, absent = dict[str, dict[str, float]](), dict[str, str]()
    with rounding(tf32):
        for way in ways:
            try:
                theirs = RUNS[way](problem)
            except (Unsupported, ImportError) as error:
                absent[way] = str(error)
            else:
                differences[way] = {name: relative_difference(ours[name], value) for name, value in theirs.items()}
    side = str(dtype or layer.dtype).removeprefix("torch.")
    numbers = f"rnnlib: {layer.dtype} on cpu; torch: {side} on {device}, TF32 {'on' if tf32 else 'off'}"
    notes = {"keras": "products in float32, whatever its dtype", "onnx": "float32 on cpu"}
    numbers = "; ".join([numbers, *(f"{way}: {note}" for way, note in notes.items() if way in differences)])
    return ParityReport(differences, absent, numbers)


@contextmanager
def rounding(tf32: bool) -> Iterator[None]:
    """Whether a GPU may use TF32, in cuDNN and elsewhere."""
    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, tf32
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
            yield
    finally:
        matmul.allow_tf32 = before


def through_twin(run: Callable, problem: Problem) -> Results:
    """The twin of the layer, in one of the loop's forms."""
    return differentiate(run, twin(problem.layer, "loop", problem.device, problem.dtype), problem)


def through_compiled(problem: Problem) -> Results:
    if len(problem.x) < UNROLL:
        raise Unsupported(f"{len(problem.x)} steps are fewer than the {UNROLL} that are compiled together")
    return through_twin(compiled, problem)


def through_kernel(run: Callable, problem: Problem) -> Results:
    """A plain torch.nn module, by torch's own kernel."""
    if problem.training is not None and problem.layer.dropout:
        raise Unsupported("torch's kernel draws what is dropped itself: in training its masks are others")
    return differentiate(run, to_torch(problem.layer, problem.device, problem.dtype), problem)


def through_fused(problem: Problem) -> Results:
    if problem.lengths is not None:
        raise Unsupported("torch's kernel reads padding as data unless it is packed: see packed")
    return through_kernel(fused, problem)


def through_packed(problem: Problem) -> Results:
    T, N, _ = problem.x.shape
    lengths = [T] * N if problem.lengths is None else problem.lengths

    def run(module: torch.nn.RNNBase, x: torch.Tensor, state: Any, _: object, rng: None) -> Any:
        return fused(module, x, state, lengths, rng=rng)

    return through_kernel(run, problem)


def differentiate(run: Callable, module: torch.nn.RNNBase, problem: Problem) -> Results:
    """Output, states and every gradient of one torch form."""
    arrays = (problem.x, *problem.first, *problem.upstream)
    tensors = [torch.from_numpy(a.copy()).to(module.weight_ih_l0) for a in arrays]
    half = len(tensors) // 2
    inputs, upstream = tensors[:half], tensors[half:]
    for tensor in inputs:
        tensor.requires_grad_()
    x, *states = inputs
    rng = None if problem.training is None else np.random.default_rng(problem.training)
    output, last = run(module, x, tuple(states) if len(states) == 2 else states[0], problem.lengths, rng=rng)
    names, parameters = zip(*module.named_parameters(), strict=True)
    gradients = torch.autograd.grad((output, *as_tuple(last)), (*inputs, *parameters), upstream)
    labels = ["output", *["h_n", "c_n"][: len(states)], "dx", *["dh0", "dc0"][: len(states)], *names]
    results = dict(zip(labels, (output, *as_tuple(last), *gradients), strict=True))
    return {name: tensor.detach().double().cpu().numpy() for name, tensor in results.items()}


def through_keras(problem: Problem) -> Results:
    if problem.training is not None:
        raise Unsupported("Keras draws what is dropped itself: in training its masks are others")
    return keras_layers.differentiate(problem.layer, problem.x, problem.first, problem.lengths, problem.upstream)


def through_onnx(problem: Problem) -> Results:
    if problem.training is not None:
        raise Unsupported("an ONNX model is for inference: it drops nothing")
    model = onnx_models.to_onnx(problem.layer)
    output, last = onnx_models.run_onnx(model, problem.x, problem.layer.joined(problem.first), problem.lengths)
    states = [last] if isinstance(last, np.ndarray) else list(last)
    return {"output": output, **dict(zip(("h_n", "c_n"), states, strict=False))}


RUNS: dict[str, Callable[[Problem], Results]] = {
    "loop": partial(through_twin, loop),
    "compiled": through_compiled,
    "graph": partial(through_twin, graph),
    "fused": through_fused,
    "packed": through_packed,
    "keras": through_keras,
    "onnx": through_onnx,
}


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest |a - b|, relative to the largest entry of either; 0 where both are zero, NaN where either has one."""
    scale = max(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / scale) if scale else 0.0
