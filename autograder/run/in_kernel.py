"""A real ipykernel inside the sandbox, spoken to as Jupyter does: the same warden, walls, shell and recorder as a fork.

Its five sockets were bound and listened on outside and handed in as open descriptors: it shares no folder with the
host and has no network. Everything after `jail.lock` lies within the submission's reach.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import zmq
from ipykernel.heartbeat import Heartbeat
from ipykernel.iostream import IOPubThread
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.session import Session
from traitlets import Type

from autograder.run import frames, server
from autograder.run.session import close_figures
from autograder.run.shell import Hook, Publisher, Recorder, Shell, Stream, accept_inline_settings, settings

STUB = import_module("autograder.check")  # in here, that is sandboxed_check
LOCKED = b"locked\n"  # the only thing a kernel says to the grader but through Jupyter's sockets


def main(jailed: bool) -> None:
    """Be the warden of one kernel, from job to record."""
    source, sink = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # input() finds no one there
    frames.write(sink, frames.pack(frames.READY))
    server.keep_watch(_be_a_kernel, source, sink, jailed)


def _be_a_kernel(job: dict[str, Any], write: Callable[[bytes], None]) -> None:
    write(LOCKED)
    STUB.cases.update(job["inputs"])
    app = App(
        config=settings(),
        transport="ipc",
        ip="",
        **{f"{channel}_port": number for number, channel in enumerate(job["channels"])},
        session=Session(key=job["key"].encode(), signature_scheme=job["signature_scheme"]),
    )
    app.listeners, app.recorder = job["keep"], Recorder(job["characters"])
    app.initialize([])
    app.start()


class _Shell(Shell, ZMQInteractiveShell):
    """The grading shell, where a kernel expects its own."""

    displayhook_class = Type(Hook)
    display_pub_class = Type(Publisher)
    _last_traceback: list[str] | None = None

    def set_parent(self, parent: Any) -> None:
        """Remember the request; outputs go to the recorder, not to it."""
        self.parent_header = parent


class _Kernel(IPythonKernel):
    """Sends what a cell showed when the cell has ended, cut by the recorder."""

    shell_class = Type(_Shell)
    _seeded = False

    async def do_execute(self, *arguments: Any, **more: Any) -> Any:
        process, recorder = os.getpid(), self.parent.recorder
        if not self._seeded:
            _seed()
            self._seeded = True
        recorder.start()
        reply = await super().do_execute(*arguments, **more)
        if os.getpid() != process:  # a cell forked and forgot to end its copy
            os._exit(0)
        close_figures()
        if reply["status"] == "error" and not any(output["output_type"] == "error" for output in recorder.outputs):
            recorder.error(reply["ename"], reply["evalue"], [f"{reply['ename']}: {reply['evalue']}"])
        for output in recorder.outputs:
            kind = output["output_type"]
            content = {key: value for key, value in output.items() if key != "output_type"}
            self.session.send(self.iopub_socket, kind, content, parent=self.get_parent(), ident=self._topic(kind))
        recorder.start()
        return reply


class _Heart(Heartbeat):
    """Beats on a socket that it was given."""

    listener: int

    def _try_bind_socket(self) -> None:
        _bind(self.socket, self.listener)


class App(IPKernelApp):
    """Starts the kernel on given sockets, without files."""

    kernel_class = Type(_Kernel)
    outstream_class = None
    ignore_cwd = True  # a numpy.py beside the notebook is not NumPy

    listeners: list[int]
    recorder: Recorder

    def init_connection_file(self) -> None:
        """There is none."""

    def write_connection_file(self, **_: Any) -> None:
        """There is none."""

    def _bind_socket(self, s: zmq.Socket, port: int) -> int:
        _bind(s, self.listeners[port])
        return port

    def init_control(self, context: zmq.Context) -> None:
        """Bind the control channel; nobody debugs in here."""
        super().init_control(context)
        self.debug_shell_socket.disconnect(self.shell_socket.getsockopt(zmq.LAST_ENDPOINT))

    def init_iopub(self, context: zmq.Context) -> None:
        """Bind the channel of outputs, without the extra TCP socket for what forked processes print."""
        self.iopub_socket = context.socket(zmq.XPUB)
        self.iopub_port = self._bind_socket(self.iopub_socket, self.iopub_port)
        self.configure_tornado_logger()
        self.iopub_thread = IOPubThread(self.iopub_socket, session=self.session)
        self.iopub_thread.start()
        self.iopub_socket = self.iopub_thread.background_socket

    def init_heartbeat(self) -> None:
        """Start the heart beating."""
        self.heartbeat = _Heart(zmq.Context(), (self.transport, self.ip, self.hb_port))
        self.heartbeat.listener = self.listeners[self.hb_port]
        self.heartbeat.start()

    def init_io(self) -> None:
        """Record what is printed, in the order in which it is displayed."""
        super().init_io()
        sys.stdout, sys.stderr = Stream("stdout", self.recorder), Stream("stderr", self.recorder)

    def init_signal(self) -> None:
        """An interrupt between two cells interrupts nothing."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def init_shell(self) -> None:
        """Give the shell its recorder."""
        super().init_shell()
        self.shell.recorder = self.recorder
        accept_inline_settings(self.shell)


def _seed() -> None:
    """Two runs of one submission shall be equal, whatever it draws from."""
    import numpy as np

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002


def _bind(socket: zmq.Socket, listener: int) -> None:
    socket.setsockopt(zmq.USE_FD, listener)
    socket.bind(f"ipc://listener-{listener}")  # a name only: the descriptor is bound already
