"""Between a Jupyter client and a sandboxed kernel: bytes pass, and are counted.

A kernel that a submission has taken over speaks the wire itself and could fill the client's memory with one message
that never ends. So no kernel is connected to a client directly: past `most` bytes its connections are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

AT_ONCE = 1 << 16


class Relay:
    """A thread that joins each connection to `outer[i]` with a new one to `inner[i]`.

    Args:
        outer: where clients connect; the files are made here.
        inner: where the kernel listens.
        most: bytes that all kernels' connections together may send to clients.
    """

    def __init__(self, outer: Sequence[Path], inner: Sequence[Path], most: int) -> None:
        self._left = most
        self.exceeded = False
        self._pumps: set[asyncio.Task[None]] = set()
        self._doors = [_listener(path) for path in outer]
        self._pairs = list(zip(self._doors, inner, strict=True))
        self._runs = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="relay", daemon=True)
        self._thread.start()
        self._runs.wait()

    def close(self) -> None:
        """Close every connection and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        for door in self._doors:
            door.close()

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        serving = [self._loop.create_task(self._serve(door, path)) for door, path in self._pairs]
        self._runs.set()
        await self._stop.wait()
        for task in serving:
            task.cancel()

    async def _serve(self, door: socket.socket, inner: Path) -> None:
        while True:
            client, _ = await self._loop.sock_accept(door)
            pump = self._loop.create_task(self._join(client, inner))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _join(self, client: socket.socket, inner: Path) -> None:
        kernel = socket.socket(socket.AF_UNIX)
        kernel.setblocking(False)
        client.setblocking(False)
        with client, kernel, contextlib.suppress(OSError):
            await self._loop.sock_connect(kernel, str(inner))
            both = [self._pump(client, kernel, False), self._pump(kernel, client, True)]
            tasks = [self._loop.create_task(pump) for pump in both]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        while data := await self._loop.sock_recv(source, AT_ONCE):
            if counted:
                self._left -= len(data)
                if self._left < 0:
                    self.exceeded = True
                    return
            await self._loop.sock_sendall(sink, data)


def _listener(path: Path) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    door.bind(str(path))
    door.listen(8)
    door.setblocking(False)
    return door
