"""Batches on their way to the device: cut, converted, pinned and copied by a thread of their own, a few ahead.

A copy from ordinary memory makes the host wait; one from pinned memory runs beside the computation, on a stream of its
own. The thread only reads: in what order is decided before, so being ahead changes no number.
"""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from rnnlib.torchref.recording import CAPTURE
from rnnlib.training.batches import Batch

MOVED = 2  # inputs and targets go to the device; lengths follow, which are needed on the host, where packing is planned


def feed(
    batches: Iterator[Batch], device: torch.device, dtype: torch.dtype, ahead: int
) -> Generator[Batch, None, None]:
    """The same batches in the same order, with inputs and targets as tensors on the device.

    Close it (`contextlib.closing`) where it is left early: then its thread ends.

    Args:
        batches: an iterator; what it raises comes out where the batch would have.
        device: where the tensors go; for a GPU through pinned memory and a stream of their own.
        dtype: of what is no whole number; ids become int64.
        ahead: how many batches are prepared while one is used; 0: none, and there is no thread.

    Yields:
        Batches; a tensor is used on the stream that is current when it is yielded.
    """
    loader = Loader(batches, device, dtype)
    if ahead == 0:
        while loaded := loader.next():
            yield loader.hand_over(*loaded)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="rnnlib-feed")
    try:
        waiting: deque[Future[Any]] = deque(pool.submit(loader.next) for _ in range(ahead))
        while loaded := waiting.popleft().result():
            waiting.append(pool.submit(loader.next))
            yield loader.hand_over(*loaded)
    finally:
        pool.shutdown(cancel_futures=True)


class Loader:
    """Takes batches to a device; see `feed`."""

    def __init__(self, batches: Iterator[Batch], device: torch.device, dtype: torch.dtype) -> None:
        self.batches, self.device, self.dtype = batches, device, dtype
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def next(self) -> tuple[Batch, Any] | None:
        """The next batch, perhaps still on its way, and the event of its arrival; None at the end."""
        batch = next(self.batches, None)
        if batch is None:
            return None
        if self.stream is None:
            moved, event = tuple(self.move(argument) for argument in batch.arguments[:MOVED]), None
        else:
            with CAPTURE, torch.cuda.stream(self.stream):
                moved = tuple(self.move(argument) for argument in batch.arguments[:MOVED])
                event = self.stream.record_event()
        return batch._replace(arguments=moved + batch.arguments[MOVED:]), event

    def move(self, argument: Any) -> Any:
        """An array as a tensor on the device; anything else as it is."""
        if not isinstance(argument, np.ndarray):
            return argument
        dtype = {"f": self.dtype, "i": torch.int64, "u": torch.int64}.get(argument.dtype.kind)
        host = torch.tensor(np.ascontiguousarray(argument), dtype=dtype)
        return host if self.stream is None else host.pin_memory().to(self.device, non_blocking=True)

    def hand_over(self, batch: Batch, event: Any) -> Batch:
        """Let the current stream wait for a batch, and its memory live until that stream is done with it."""
        if self.stream is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(event)
            for tensor in batch.arguments[:MOVED]:
                if isinstance(tensor, torch.Tensor):
                    tensor.record_stream(current)
        return batch
