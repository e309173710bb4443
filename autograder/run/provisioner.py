"""A kernel provisioner: any Jupyter client that starts the kernel spec `SPEC` gets an ipykernel behind our walls.

    jupyter kernelspec install <folder of write_spec> --user

The client speaks to sockets in a private folder; a relay counts what comes back; the kernel sees neither the folder
nor the relay. When a kernel ends, its processes, sockets and folder are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Dict

from autograder.run import bubblewrap, cgroup, environment, frames, inside
from autograder.run.client import START_SECONDS, NotStarted, Server, as_descriptor
from autograder.run.outcome import Limits, SandboxUnavailable

NAME = "sandbox"
SPEC: dict[str, Any] = {
    "argv": ["python3", "-m", "autograder.run.in_kernel"],  # what runs inside; the provisioner starts it its own way
    "display_name": "Python 3 (sandboxed)",
    "language": "python",
    "interrupt_mode": "message",  # a signal would reach bubblewrap, not the kernel
    "metadata": {"kernel_provisioner": {"provisioner_name": NAME, "config": {}}},
}
ALSO = ("ipykernel",)
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
FRAMING = 4  # bytes of a kernel's messages, headers and echoes for a byte of what cells hand back


def write_spec(folder: Path) -> Path:
    """Write the kernel spec; `jupyter kernelspec install` takes the folder.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.json").write_text(json.dumps(SPEC, indent=1))
    return folder


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel inside bubblewrap, and clears up after it."""

    limits = Dict(help="Limits of one kernel, by the names of autograder.run.Limits.").tag(config=True)

    _folder: Path | None = None
    _server: Server | None = None
    _relay: Any = None
    _listeners: tuple[socket.socket, ...] = ()
    _inputs: dict[str, Any]
    _files: dict[str, str]

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Make the private folder, its sockets and the connection's settings.

        Args:
            kwargs: what the manager was started with; `inputs` are the encoded cases that `check` shall find, `files`
                what shall lie beside the notebook.
        """
        manager, self._inputs, self._files = self.parent, kwargs.pop("inputs", {}), kwargs.pop("files", {})
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="kernel-"))  # a socket's whole path is at most 107 bytes
        manager.cache_ports, manager.transport, manager.ip = False, "ipc", str(self._folder / "s")
        manager.connection_file = str(self._folder / "connection.json")
        for number, channel in enumerate(CHANNELS):
            setattr(manager, f"{channel}_port", number + 1)
        manager.kernel_spec.interrupt_mode = SPEC["interrupt_mode"]
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start bubblewrap, and return when walls and locks stand.

        Raises:
            SandboxUnavailable: they cannot be put up; the message names the fix.
        """
        try:
            bubblewrap.find()
            found = await asyncio.to_thread(environment.prepare, ALSO)
            self._launch(found, Limits(**self.limits))  # in this thread: bubblewrap dies with the thread it came from
        except BaseException:
            await self.cleanup()
            raise
        return self.connection_info

    def _launch(self, found: environment.Environment, limits: Limits) -> None:
        from autograder.run.relay import Relay

        assert self._folder is not None
        self._close()
        outer = [Path(f"{self._folder}/s-{number + 1}") for number in range(len(CHANNELS))]
        inner = [Path(f"{self._folder}/k-{number + 1}") for number in range(len(CHANNELS))]
        for path in [*outer, *inner]:
            path.unlink(missing_ok=True)
        self._listeners = tuple(_listening(path) for path in inner)
        self._relay = Relay(outer, inner, FRAMING * limits.output_bytes)
        self._server = self._start(found, limits, [listener.fileno() for listener in self._listeners])
        self.process, self.pid = self._server.process, self._server.process.pid
        self.pgid = self.pid
        self._hand_over(self._server, limits)
        for listener in self._listeners:
            listener.close()

    def _start(self, found: environment.Environment, limits: Limits, keep: list[int]) -> Server:
        files = {path: as_descriptor(text) for path, text in inside.contents().items()}
        try:
            words = bubblewrap.command(found, files, "autograder.run.in_kernel")
            return Server(words, bubblewrap.identity(), {}, (*files.values(), *keep), cgroup.make(limits))
        except NotStarted as failure:
            raise SandboxUnavailable(bubblewrap.explain(str(failure))) from None
        finally:
            for descriptor in files.values():
                os.close(descriptor)

    def _hand_over(self, server: Server, limits: Limits) -> None:
        job = {
            "inputs": self._inputs,
            "files": self._files,
            "channels": CHANNELS,
            "keep": [listener.fileno() for listener in self._listeners],
            "key": self.parent.session.key.decode(),
            "signature_scheme": self.parent.session.signature_scheme,
            "characters": limits.output_bytes // 4,
            "limits": asdict(replace(limits, output_bytes=1 << 12)),  # of what it says beside Jupyter's sockets
        }
        deadline = time.monotonic() + START_SECONDS
        try:
            server.send(frames.pack(frames.JOB, json.dumps(job).encode()), deadline)
            kind, said = server.receive(deadline)
        except (EOFError, TimeoutError):
            raise SandboxUnavailable(bubblewrap.explain("the kernel ended before its walls stood")) from None
        if kind != frames.DATA:
            raise SandboxUnavailable(bubblewrap.explain(json.loads(said).get("said", "the locks do not hold")))

    def record(self) -> dict[str, Any]:
        """The warden's {"cause", "status"} of a kernel that has ended; "server" if there is none."""
        if self._relay is not None and self._relay.exceeded:
            return {"cause": "output limit", "status": 0}
        with contextlib.suppress(EOFError, TimeoutError, OSError):
            while self._server is not None:
                kind, payload = self._server.receive(time.monotonic() + 1)
                if kind == frames.END:
                    return self._server.judged(json.loads(payload))
        return {"cause": "server", "status": 0}

    @property
    def alive(self) -> bool:
        """Whether the kernel runs and has not sent more than it may."""
        return self._server is not None and self._server.process.poll() is None and not self._relay.exceeded

    async def kill(self, restart: bool = False) -> None:
        """End the kernel and everything in its sandbox, and wait until it has ended."""
        if self._server is not None:
            self._server.stop()

    async def cleanup(self, restart: bool = False) -> None:
        """Remove what is left; a restart keeps the folder, so that clients find the same sockets."""
        self._close()
        if self._folder is not None and not restart:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _close(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
        self.process = None
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        for listener in self._listeners:
            listener.close()


def _listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    return listener
