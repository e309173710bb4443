"""How fast does training run, and in how much memory? Over the length of truncation and the size of a batch."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle, islice, product
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from rnnlib.torchref.training.feeding import feed
from rnnlib.torchref.training.precision import Arithmetic, Precision
from rnnlib.torchref.training.step import descend, gather
from rnnlib.training.batches import Batch, Stream

WARM = 2  # steps before the clock starts: compilation, memory, the scale of the loss


class Row(NamedTuple):
    """What was measured at one size.

    Attributes:
        T: steps of a window.
        N: rows side by side.
        tokens_per_second: T * N over the seconds of a step, the median over the repeats; None: it did not fit.
        memory: bytes that torch held at most on the GPU, weights and the optimiser's memory included; None: it did not
            fit, or the device is a CPU, where nobody counts.
    """

    T: int
    N: int
    tokens_per_second: float | None
    memory: int | None


@dataclass(frozen=True)
class Profile:
    """Rows of a profile; printing it gives a table.

    Attributes:
        rows: one for each T and N, T slowest.
        numbers: where it ran and in which precision.
    """

    rows: list[Row]
    numbers: str

    def __str__(self) -> str:
        lines = [self.numbers, f"{'T':>6} {'N':>6} {'tokens/s':>12} {'peak MiB':>10}"]
        for T, N, speed, memory in self.rows:
            fast = "out of memory" if speed is None else f"{speed:,.0f}"
            lines.append(f"{T:>6} {N:>6} {fast:>12} {'-' if memory is None else f'{memory / 2**20:,.1f}':>10}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Subject:
    """What is measured, and how."""

    module: torch.nn.Module
    optimizer: torch.optim.Optimizer
    arithmetic: Arithmetic
    clip: float
    steps: int
    prefetch: int

    def measure(self, windows: Sequence[Batch]) -> tuple[float, int | None]:
        """Seconds of a step, as `train` takes it, and the peak of memory in bytes."""
        device, state = self.arithmetic.device, None
        on_gpu = device.type == "cuda"
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
        endless, rng = islice(cycle(windows), WARM + self.steps), np.random.default_rng(0)
        with closing(feed(endless, device, self.arithmetic.dtype, self.prefetch)) as batches:
            for k, batch in enumerate(batches):
                if k == WARM:
                    if on_gpu:
                        torch.cuda.synchronize(device)
                    since = perf_counter()
                gathered = gather(self.module, [batch], state, True, rng, self.arithmetic)
                descend(self.module, self.optimizer, self.arithmetic, gathered, self.clip, 1.0, f"step {k + 1}")
                state = gathered.state
            if on_gpu:
                torch.cuda.synchronize(device)
        seconds = (perf_counter() - since) / self.steps
        return seconds, torch.cuda.max_memory_allocated(device) if on_gpu else None


def profile(
    make_module: Callable[[], torch.nn.Module],
    stream: ArrayLike,
    truncations: Sequence[int],
    batch_sizes: Sequence[int],
    *,
    make_optimizer: Callable[[Any], torch.optim.Optimizer] = torch.optim.Adam,
    clip: float = 1.0,
    precision: Precision | None = None,
    steps: int = 10,
    repeats: int = 5,
    prefetch: int = 2,
    watch: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
) -> Profile:
    """Train at every truncation length and batch size for a few steps, and measure.

    Sizes take turns, and a median is taken, so that a busy moment of the machine falls on all of them. One module
    serves all: its weights do not depend on the size.

    Args:
        make_module: makes a module as for `train`, on its device; called once, since it is trained.
        stream: (L,) ids, or (L, D) numbers.
        truncations: T, each at least 1.
        batch_sizes: N, each at least 1.
        make_optimizer: makes one from the module's parameters.
        clip, precision, prefetch: as in `train`.
        steps: how many are timed together.
        repeats: how often each size has its turn.
        watch: what the turns are passed through to see how far they are, such as `tqdm.tqdm`, and that where it is
            None and tqdm is installed.

    Raises:
        ValueError: a number is out of range, or the stream is too short for one window.
    """
    stream, sizes = np.asarray(stream), list(product(truncations, batch_sizes))
    if min([steps, repeats, *truncations, *batch_sizes], default=0) < 1 or not sizes:
        raise ValueError(
            f"truncations are {truncations}, batch_sizes {batch_sizes}, steps {steps} and repeats {repeats}: expected "
            "at least one size, and each number at least 1"
        )
    needed = max(T * N for T, N in sizes) + 1
    if len(stream) < needed:
        raise ValueError(f"the stream has {len(stream)} elements: one window of the largest size needs {needed}")
    module = make_module()
    arithmetic = Arithmetic(module, precision)
    subject = Subject(module, make_optimizer(module.parameters()), arithmetic, clip, steps, prefetch)
    seconds: dict[tuple[int, int], list[float]] = {size: [] for size in sizes}
    memory: dict[tuple[int, int], int | None] = {}
    too_large = set[tuple[int, int]]()
    for _, (T, N) in (watch or watcher())(list(product(range(repeats), sizes))):
        if (T, N) in too_large:
            continue
        try:
            took, peak = subject.measure(windows(stream, N, T, WARM + steps))
        except torch.cuda.OutOfMemoryError:
            too_large.add((T, N))
            module.zero_grad(set_to_none=True)
            continue
        seconds[T, N].append(took)
        memory[T, N] = peak if peak is None else max(peak, memory.get((T, N)) or 0)
    rows = [
        Row(T, N, None, None) if (T, N) in too_large else Row(T, N, T * N / median(seconds[T, N]), memory[T, N])
        for T, N in sizes
    ]
    on_gpu = arithmetic.device.type == "cuda"
    where = torch.cuda.get_device_name(arithmetic.device) if on_gpu else "a CPU, where memory is not measured"
    return Profile(rows, f"training in {precision or arithmetic.dtype} on {where}")


def windows(stream: np.ndarray, N: int, T: int, most: int) -> list[Batch]:
    """The first full windows of a stream, at most so many."""
    data = Stream(stream[: N * T * most + 1], N, T)
    return [batch for batch in data.epoch(np.random.default_rng(0)) if batch.positions == N * T]


def watcher() -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A tqdm bar where tqdm is installed, otherwise nothing."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return iter
    return tqdm
