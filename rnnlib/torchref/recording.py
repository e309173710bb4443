"""The loop as a CUDA graph: its kernels are recorded once, and launched together ever after.

A step of a small network is a handful of kernels of a few microseconds each, and launching one from Python takes as
long as running it. A graph removes the launches and nothing else: the kernels are those of the loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch

from rnnlib.torchref.compiling import BACKEND, compiled_steps
from rnnlib.torchref.noise import Noise, Rng, draw
from rnnlib.torchref.run import (
    Lengths,
    State,
    Unsupported,
    as_tuple,
    check,
    initial_state,
    steps,
    unroll,
    within,
)


@dataclass
class Recording:
    """A graph, and how often it has run: its memory holds the activations of its last run only."""

    replay: Callable[..., tuple[torch.Tensor, ...]]
    runs: int = 0


CAPTURE = Lock()  # while a graph is recorded no other thread may copy to the GPU; see torchref.training.feeding
RECORDINGS: WeakKeyDictionary[torch.nn.Module, dict[Any, Recording]] = WeakKeyDictionary()


def graph(
    module: torch.nn.RNNBase,
    x: torch.Tensor,
    state: State | None = None,
    lengths: Lengths | None = None,
    *,
    rng: Rng | None = None,
    compile_steps: bool = False,
) -> tuple[torch.Tensor, State]:
    """`loop`, recorded at the first call with a shape and replayed at the next ones; on a GPU only.

    A recording holds the activations of one run: send the gradient back before the next forward pass of this shape.
    Each shape keeps a recording of its own, and its memory, as long as the module lives: bucket lengths first.

    Args:
        compile_steps: record the kernels of `compiled` instead; the others are as in `loop`.

    Raises:
        Unsupported: x is not on a GPU, or autocast is on (give module and x the wanted dtype).
        TypeError, ValueError: as `loop`.
        RuntimeError: in the backward pass, where the graph has run again in between.
    """
    check_place(x)
    counts = check(module, x, state, lengths)
    noise = None if rng is None else draw(module, x, counts, rng)
    initial = as_tuple(initial_state(module, x, state))
    data = Inputs(x, initial, None if counts is None else within(counts, x), noise)
    recording = recorded(module, data, compile_steps)
    recording.runs += 1
    flat = [Fresh.apply(tensor) if tensor.requires_grad else tensor for tensor in data.tensors()]
    weights = [Fresh.apply(weight) if weight.requires_grad else weight for weight in module.parameters()]
    output, *last = Kept.apply(recording, *recording.replay(*flat, *weights))
    return output, tuple(last) if isinstance(module, torch.nn.LSTM) else last[0]


def check_place(x: torch.Tensor) -> None:
    """Say why no graph can be recorded.

    Raises:
        Unsupported: it cannot.
    """
    if x.device.type != "cuda":
        raise Unsupported(
            f"x is on {x.device}: a CUDA graph records the kernels of an NVIDIA GPU; move the module and x there, or "
            "use torchref.loop or torchref.compiled"
        )
    if torch.is_autocast_enabled():
        raise Unsupported(
            "autocast is on: recorded in a graph it would cast every weight at every step; call .to(torch.bfloat16) on "
            "the module and x instead"
        )


@dataclass
class Inputs:
    """What goes into a graph, apart from the weights."""

    x: torch.Tensor
    initial: tuple[torch.Tensor, ...]
    valid: torch.Tensor | None
    noise: Noise | None

    def tensors(self) -> list[torch.Tensor]:
        """All of it in one list, as a graph takes it."""
        noise = [] if self.noise is None else [*self.noise.inputs, *self.noise.hidden]
        held = [] if self.noise is None else [d for ds in self.noise.held if ds is not None for d in ds]
        return [t for t in (self.x, *self.initial, self.valid, *noise, *held) if t is not None]

    def like(self, tensors: list[torch.Tensor]) -> "Inputs":
        """The inverse of `tensors`: these, with None where this has None."""
        queue = iter(tensors)

        def take(old: torch.Tensor | None) -> Any:
            return None if old is None else next(queue)

        x, initial, valid, noise = next(queue), tuple(map(take, self.initial)), take(self.valid), None
        if self.noise is not None:
            inputs, hidden = list(map(take, self.noise.inputs)), list(map(take, self.noise.hidden))
            noise = Noise(inputs, hidden, [ds if ds is None else tuple(map(take, ds)) for ds in self.noise.held])
        return Inputs(x, initial, valid, noise)


def recorded(module: torch.nn.RNNBase, data: Inputs, compile_steps: bool) -> Recording:
    """The recording for inputs of this kind, made where there is none."""
    flat, weights = data.tensors(), list(module.parameters())
    about = [(tuple(t.shape), t.dtype, t.device, t.requires_grad) for t in (*flat, *weights)]
    places = [weight.data_ptr() for weight in weights]  # a graph reads the addresses that it was recorded with
    form = data.valid is None, data.noise is None, torch.is_grad_enabled(), compile_steps
    key = (*form, *about, *places)
    recordings = RECORDINGS.setdefault(module, {})
    if key not in recordings:
        own = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in flat]

        through = partial(compiled_steps, BACKEND) if compile_steps else steps

        def run(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            now = data.like(list(tensors[: len(flat)]))
            output, last = unroll(module, now.x, now.initial, now.valid, now.noise, through)
            return output, *as_tuple(last)

        with CAPTURE:
            replay = torch.cuda.make_graphed_callables(run, (*own, *weights), allow_unused_input=True)
        recordings[key] = Recording(replay)
    return recordings[key]


class Fresh(torch.autograd.Function):
    """The same tensor with a gradient of its own: a graph's lies in memory that the next run overwrites, and autograd
    would keep that very memory as a parameter's `grad`."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.clone()


class Kept(torch.autograd.Function):
    """Copies of what a graph returned, whose gradients go back only through the run that they came from."""

    @staticmethod
    def forward(ctx: Any, recording: Recording, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        ctx.recording, ctx.run = recording, recording.runs
        return tuple(tensor.clone() for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        if ctx.recording.runs != ctx.run:
            raise RuntimeError(
                "the graph ran again before this backward pass, and its memory holds the newer run's activations: "
                "call backward before the next forward of the same shape, or use torchref.loop"
            )
        return None, *gradients
