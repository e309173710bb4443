"""The grader's side of a sandbox: starts the fork server, hands it submissions, never waits longer than the limits."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from autograder.run import bubblewrap, cgroup, ending, environment, frames, inside, transcript
from autograder.run.outcome import Limits, Outcome, SandboxUnavailable

SERVER = "autograder.run.server"
START_SECONDS = 60  # imports on a busy machine
GRACE_SECONDS = 1.5  # after a submission's deadline, before the whole sandbox is ended


class Sandbox:
    """A preloaded Python inside bubblewrap, forked for every submission. One thread uses it at a time.

    Args:
        limits: what every submission may use.

    Raises:
        SandboxUnavailable: this machine cannot start it; the message names the fix.
    """

    sandboxed = True

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008  # frozen
        self.limits = limits
        self._server: Server | None = None
        trial = self.run(["pass"], {})
        if trial.ended != "finished":
            self.close()
            raise SandboxUnavailable(bubblewrap.explain(trial.detail))

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the server and everything in it."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def run(
        self, sources: Sequence[str], inputs: Mapping[str, list[Any]], files: Mapping[str, bytes] = MappingProxyType({})
    ) -> Outcome:
        """Run one submission's cells in a fresh process, scratch and memory.

        Args:
            sources: the text of each code cell, in order.
            inputs: the encoded cases of each question, as `check` asks for them.
            files: what shall lie in the scratch folder, read-only, by name.

        Returns:
            What each cell showed, and how it ended; within `submission_seconds` and about two seconds more (where
            the server has to be started again, that comes first).

        Raises:
            SandboxUnavailable: there is no sandbox, or its walls cannot be put up; never the submission's doing.
        """
        job = {"sources": list(sources), "inputs": dict(inputs), "limits": asdict(self.limits)}
        job["files"] = {name: base64.b64encode(content).decode() for name, content in files.items()}
        message = json.dumps(job).encode()
        record, data = self._hand_over(message)
        if record["cause"] == "server":  # killed from outside, which is not the submission's doing: once more
            record, data = self._hand_over(message)
        if record["cause"] == "no walls":
            self.close()
            raise SandboxUnavailable(bubblewrap.explain(record["said"]))
        runs, intact = transcript.read(data, len(job["sources"]))
        if not intact and record["cause"] == "exit":
            record["cause"] = "garbled"
        return ending.outcome(record, runs, len(job["sources"]), self.limits, self.sandboxed)

    def _hand_over(self, job: bytes) -> tuple[dict[str, Any], bytes]:
        """Give a job to a server that lives; returns the warden's record, or ours in its place, and the reports."""
        if self._server is None or not self._server.alive():
            self.close()
            self._server = self._start()
        deadline = time.monotonic() + self.limits.submission_seconds + GRACE_SECONDS
        data = bytearray()
        try:
            self._server.send(frames.pack(frames.JOB, job), deadline)
            while (frame := self._server.receive(deadline))[0] == frames.DATA:
                data += frame[1]
            return self._server.judged(json.loads(frame[1])), bytes(data)
        except (TimeoutError, EOFError) as silence:
            self.close()
            return {"cause": "deadline" if isinstance(silence, TimeoutError) else "server", "status": 0}, bytes(data)

    def _start(self) -> Server:
        bubblewrap.find()  # before half a minute of copying
        found = environment.prepare()
        files = {path: as_descriptor(text) for path, text in inside.contents().items()}
        try:
            words = bubblewrap.command(found, files, SERVER)
            return Server(words, bubblewrap.identity(), {}, tuple(files.values()), cgroup.make(self.limits))
        except NotStarted as failure:
            raise SandboxUnavailable(bubblewrap.explain(str(failure))) from None
        finally:
            for descriptor in files.values():
                os.close(descriptor)


class Unsandboxed(Sandbox):
    """The same without walls, for an instructor who allows it: the submission can read and do what the grader can.

    Time, output and (where the system has them) process limits still hold.
    """

    sandboxed = False

    def _start(self) -> Server:
        with tempfile.TemporaryDirectory(prefix="rnn-notebooks-") as folder:
            for path, text in inside.contents().items():
                target = Path(folder, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(text)
            start = inside.start(SERVER, jailed=False, before=[folder], after=["."])
            try:
                return Server([sys.executable, "-P", "-c", start], {}, {**os.environ, **inside.SETTINGS}, ())
            except NotStarted as failure:
                raise SandboxUnavailable(f"the process that runs submissions did not start: {failure}") from None


class NotStarted(RuntimeError):
    """The server ended before it was ready; the message is what it said."""


class Server:
    """A running fork server and the two pipes to it.

    Args:
        words: the command line.
        identity: who starts it, as keywords of Popen.
        settings: its environment variables.
        keep: descriptors that it inherits.
        group: the control group that holds it; closed with it.
    """

    def __init__(
        self,
        words: list[str],
        identity: dict[str, Any],
        settings: dict[str, str],
        keep: tuple[int, ...],
        group: cgroup.Group | None = None,
    ) -> None:
        self._group, self._killed = group, 0
        with tempfile.TemporaryFile() as said:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=settings,
                cwd="/",
                pass_fds=keep,
                start_new_session=True,
                preexec_fn=group.enter if group else None,
                **identity,
            )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
            os.set_blocking(self._to, False)
            self._buffer = bytearray()
            try:
                self.receive(time.monotonic() + START_SECONDS)
            except (EOFError, TimeoutError):
                self.stop()
                said.seek(0)
                raise NotStarted(said.read().decode("utf-8", "replace")) from None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The outermost process."""
        return self._process

    def alive(self) -> bool:
        """Whether it still runs and its pipe is open."""
        return self._process.poll() is None and not select.select([self._from], [], [], 0)[0]

    def judged(self, record: dict[str, Any]) -> dict[str, Any]:
        """The warden's record; a process that the kernel ended for want of memory did not end by itself."""
        killed = self._group.killed() if self._group is not None else 0
        if killed > self._killed and record["cause"] == "exit":
            record = {**record, "cause": "memory"}
        self._killed = killed
        return record

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of `data`; raises EOFError or TimeoutError."""
        view = memoryview(data)
        while view:
            if not select.select([], [self._to], [], max(0, deadline - time.monotonic()))[1]:
                raise TimeoutError
            try:
                view = view[os.write(self._to, view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise EOFError from None

    def receive(self, deadline: float) -> tuple[bytes, bytes]:
        """Read one frame; raises EOFError or TimeoutError."""
        kind, size = frames.HEADER.unpack(self._take(frames.HEADER.size, deadline))
        return kind, self._take(size, deadline)

    def _take(self, size: int, deadline: float) -> bytes:
        while len(self._buffer) < size:
            if not select.select([self._from], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            data = os.read(self._from, 1 << 16)
            if not data:
                raise EOFError
            self._buffer += data
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def stop(self) -> None:
        """Kill it; the kernel ends everything inside with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._group is not None:
            self._group.close()
            self._group = None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def as_descriptor(text: bytes) -> int:
    """An open file in memory: bubblewrap's user may not read the file on disk."""
    descriptor = os.memfd_create("code")
    os.write(descriptor, text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
