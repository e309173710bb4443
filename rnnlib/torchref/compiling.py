"""The loop through torch.compile: a few steps at a time become one piece of machine code.

Eight steps, unrolled, are compiled together and called T/8 times. Unrolling all T would save little more, and compiling
takes time in proportion to the steps; the T mod 8 steps that are left over run as they are written.
"""

import shutil
import types
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import torch

from rnnlib.torchref.noise import Rng, draw
from rnnlib.torchref.run import (
    Lengths,
    Recurrence,
    State,
    Unsupported,
    as_tuple,
    check,
    initial_state,
    step,
    steps,
    unroll,
    within,
)

UNROLL = 8
BACKEND = "inductor"  # "aot_eager" traces forward and backward the same way, and generates no code


def compiled(
    module: torch.nn.RNNBase,
    x: torch.Tensor,
    state: State | None = None,
    lengths: Lengths | None = None,
    *,
    rng: Rng | None = None,
    backend: str = BACKEND,
) -> tuple[torch.Tensor, State]:
    """`loop`, compiled; the first call with a new shape or kind of input takes seconds to minutes.

    Args:
        backend: of torch.compile; the others are as in `loop`.

    Raises:
        Unsupported: inductor has no compiler for the CPU here.
        TypeError, ValueError: as `loop`.
    """
    reason = missing_compiler(x.device, backend)
    if reason:
        raise Unsupported(reason)
    counts = check(module, x, state, lengths)
    noise = None if rng is None else draw(module, x, counts, rng)
    valid = None if counts is None else within(counts, x)
    initial = as_tuple(initial_state(module, x, state))
    return unroll(module, x, initial, valid, noise, partial(compiled_steps, backend))


def missing_compiler(device: torch.device, backend: str = BACKEND) -> str:
    """Why torch.compile cannot run here; an empty text where it can."""
    if backend == "inductor" and device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        return (
            "torch.compile's inductor writes C++ for a CPU and finds neither g++ nor clang++ here: install one, or use "
            "backend='aot_eager', which compiles nothing and shows only that the loop can be traced"
        )
    return ""


def compiled_steps(
    backend: str,
    recurrence: Recurrence,
    a: torch.Tensor,
    valid: torch.Tensor | None,
    held: tuple[torch.Tensor, ...] | None,
    states: list[torch.Tensor],
    order: range,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """As `steps`, in compiled groups of UNROLL."""
    kind = recurrence.mode, recurrence.gain is None, recurrence.mask is None, recurrence.zoneout
    given = valid is None, held is None, a.dtype, a.device, torch.is_grad_enabled(), a.requires_grad
    group = compiled_group(backend, (*kind, *given))
    whole = len(order) - len(order) % UNROLL
    parts = []
    for start in range(0, whole, UNROLL):
        where = order[start : start + UNROLL]
        now = slice(min(where), max(where) + 1)
        kept = None if held is None else tuple(d[now] for d in held)
        inside = None if valid is None else valid[now]
        hs, states = group(recurrence, a[now], inside, kept, states, order.step < 0)
        parts.append(hs)
    rest = order[whole:]
    if rest:
        now = slice(min(rest), max(rest) + 1)
        kept = None if held is None else tuple(d[now] for d in held)
        left = range(len(rest))[:: order.step]
        hs, states = steps(recurrence, a[now], None if valid is None else valid[now], kept, states, left)
        parts.append(hs)
    return torch.cat(parts[:: order.step]), states


@cache
def compiled_group(backend: str, kind: tuple[Any, ...]) -> Any:
    """UNROLL steps, compiled for one kind of input.

    Each kind has a code object of its own: dynamo counts recompilations by code object, and gives up after eight.
    """
    own = types.FunctionType(group_of_steps.__code__.replace(), group_of_steps.__globals__)
    return torch.compile(own, backend=backend, fullgraph=True)


def group_of_steps(
    recurrence: Recurrence,
    a: torch.Tensor,
    valid: torch.Tensor | None,
    held: Sequence[torch.Tensor] | None,
    states: list[torch.Tensor],
    reverse: bool,
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """As `steps`, in a form that a compiler can unroll."""
    hs = []
    for k in range(UNROLL):
        t = UNROLL - 1 - k if reverse else k
        kept = recurrence.zoneout if held is None else [d[t] for d in held]
        h, states = step(recurrence, a[t], None if valid is None else valid[t], kept, states)
        hs.append(h)
    return torch.stack(hs[::-1] if reverse else hs), states
