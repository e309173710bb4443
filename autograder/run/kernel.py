"""The other way to run a submission: each in a fresh ipykernel behind the same walls, over Jupyter's protocol.

Slower than a fork, and the very kernel that learners use. What the kernel says is untrusted: it becomes the same
reports as a fork's, and goes through the same reading.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from importlib.metadata import entry_points
from typing import Any

from autograder.run.client import START_SECONDS, Sandbox
from autograder.run.outcome import SandboxUnavailable

TICK = 50  # milliseconds between two looks at the clock and at the kernel's end
ASK_AGAIN = 0.5
SHOWN = ("stream", "display_data", "execute_result", "error")


class KernelSandbox(Sandbox):
    """A fresh sandboxed kernel for every submission.

    Args:
        limits: what every submission may use.

    Raises:
        SandboxUnavailable: this machine cannot start it; the message names the fix.
    """

    def close(self) -> None:
        """Nothing is kept between submissions."""

    def _hand_over(self, job: bytes) -> tuple[dict[str, Any], bytes]:
        """Run one job; returns the record of how it ended, and the reports of the cells that did."""
        asked = json.loads(job)
        kernel = _Kernel(self)
        try:
            if not kernel.start(asked["inputs"], asked["files"]):
                return {"cause": "server", "status": 0}, b""
            return kernel.run(asked["sources"])
        finally:
            kernel.end()


class _Kernel:
    """One kernel from start to end."""

    def __init__(self, sandbox: Sandbox) -> None:
        try:
            import zmq
            from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
            from jupyter_client.manager import KernelManager
            from jupyter_client.provisioning import KernelProvisionerFactory

            from autograder.run.provisioner import NAME, SPEC
        except ImportError as missing:
            raise SandboxUnavailable(f'{missing}: pip install "rnn-notebooks[grade]"') from None
        if not entry_points(group=KernelProvisionerFactory.GROUP_NAME, name=NAME):
            raise SandboxUnavailable(
                f"Jupyter does not know the kernel provisioner {NAME!r}: install rnn-notebooks again"
            )
        self._limits = sandbox.limits
        lifetime = replace(self._limits, submission_seconds=self._limits.submission_seconds + START_SECONDS)
        ours = {"provisioner_name": NAME, "config": {"limits": asdict(lifetime)}}
        spec = KernelSpec(**{**SPEC, "metadata": {"kernel_provisioner": ours}})

        class OnlyOurs(KernelSpecManager):
            def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
                return spec

        self._context = zmq.Context()
        self._manager: Any = KernelManager(context=self._context, kernel_spec_manager=OnlyOurs())

    def start(self, inputs: dict[str, Any], files: dict[str, str]) -> bool:
        """Start it and wait until what it says arrives; False if it never does."""
        self._manager.start_kernel(inputs=inputs, files=files)
        self._shell, self._iopub = self._manager.connect_shell(), self._manager.connect_iopub()
        self._control = self._manager.connect_control()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._alive():
            asked = self._send(self._shell, "kernel_info_request", {})
            again = time.monotonic() + ASK_AGAIN
            while time.monotonic() < again:
                if self._hear(asked) is not None:
                    return True
        return False

    def run(self, sources: list[str]) -> tuple[dict[str, Any], bytes]:
        """Run every cell; what ends the kernel ends the run."""
        deadline = time.monotonic() + self._limits.submission_seconds
        lines: list[bytes] = []
        left = self._limits.output_bytes
        for number, source in enumerate(sources):
            report = self._cell(source, deadline)
            if isinstance(report, str):
                return self._record(report), b"".join(lines)
            line = json.dumps({"cell": number, **report}, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
            left -= len(line)
            if left < 0:
                return {"cause": "output limit", "status": 0}, b"".join(lines)
            lines.append(line)
        return {"cause": "exit", "status": 0}, b"".join(lines)

    def _cell(self, source: str, deadline: float) -> dict[str, Any] | str:
        """Run one cell; returns its report, or what ended the run."""
        started = time.monotonic()
        asked = self._send(
            self._shell,
            "execute_request",
            {
                "code": source,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": False,
            },
        )
        outputs: list[dict[str, Any]] = []
        interrupted = False
        while (now := time.monotonic()) < deadline:
            if not interrupted and now > started + self._limits.cell_seconds:
                interrupted = True
                self._send(self._control, "interrupt_request", {})
            heard = self._hear(asked)
            if heard is None:
                if not self._alive():
                    return "ended"
                continue
            kind, content = heard
            if kind == "status" and content.get("execution_state") == "idle":
                error = self._error(outputs, interrupted)
                return {"outputs": outputs, "error": error, "seconds": time.monotonic() - started}
            if kind in SHOWN:
                outputs.append({**content, "output_type": kind})
        return "deadline"

    def _error(self, outputs: list[dict[str, Any]], interrupted: bool) -> str | None:
        """What went wrong in a cell, in a sentence."""
        errors = [output for output in outputs if output["output_type"] == "error"]
        if not errors:
            return None
        if interrupted:
            return f"took longer than {self._limits.cell_seconds:g} s"
        return f"{errors[-1].get('ename')}: {errors[-1].get('evalue')}"

    def _send(self, socket: Any, kind: str, content: dict[str, Any]) -> str:
        return self._manager.session.send(socket, kind, content)["header"]["msg_id"]

    def _hear(self, asked: str) -> tuple[str, dict[str, Any]] | None:
        """The next thing published about the request `asked`, as (kind, content); None if there is none."""
        if not self._iopub.poll(TICK):
            return None
        session = self._manager.session
        try:
            message = session.deserialize(session.feed_identities(self._iopub.recv_multipart())[1])
            about = message["parent_header"]["msg_id"]
            kind, content = message["msg_type"], message["content"]
        except Exception:  # whatever bytes a kernel makes up
            return None
        return (kind, content) if about == asked and isinstance(content, dict) and isinstance(kind, str) else None

    def _alive(self) -> bool:
        return self._manager.provisioner is not None and self._manager.provisioner.alive

    def _record(self, why: str) -> dict[str, Any]:
        if why == "deadline":
            return {"cause": why, "status": 0}
        return self._manager.provisioner.record()

    def end(self) -> None:
        """Kill it and remove what is left."""
        if self._manager.provisioner is not None:
            self._manager.shutdown_kernel(now=True)
        self._context.destroy(linger=0)
