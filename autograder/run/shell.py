"""The notebook's Python inside the sandbox: an IPython shell that records nbformat outputs instead of showing them."""

from __future__ import annotations

import io
import sys
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets.config import Config

from autograder import wire

CELL_CHARACTERS = 100_000  # of everything a cell shows, answers aside
CELL_OUTPUTS = 200
OURS = "autograder/run/"  # entries of a traceback that tell a learner nothing
CUT = "\n[output cut: a cell may show 100 kB]\n"


class Recorder:
    """Collects one cell's outputs and cuts what is too long, never answers.

    Args:
        submission_characters: what all cells together may show.
    """

    def __init__(self, submission_characters: int = 1 << 20) -> None:
        self._submission_left = submission_characters
        self.start()

    def start(self) -> None:
        """Forget the last cell."""
        self.outputs: list[dict[str, Any]] = []
        self._left = CELL_CHARACTERS
        self._cut = False

    def text(self, name: str, text: str) -> None:
        """Add to the stream `name`."""
        text = self._afford(text)
        last = self.outputs[-1] if self.outputs else {}
        if text and last.get("name") == name:
            last["text"] += text
        elif text:
            self.outputs.append({"output_type": "stream", "name": name, "text": text})

    def rich(self, output_type: str, data: dict[str, Any], execution_count: int | None = None) -> None:
        """Add a displayed object; whatever does not fit is replaced by a note."""
        kept = {}
        for mime, value in data.items():
            if mime == wire.MIME:
                kept[mime] = value
            elif len(str(value)) <= self._left and len(self.outputs) < CELL_OUTPUTS:
                self._spend(len(str(value)))
                kept[mime] = value
        output: dict[str, Any] = {"output_type": output_type, "data": kept, "metadata": {}}
        if output_type == "execute_result":
            output["execution_count"] = execution_count
        if kept:
            self.outputs.append(output)
        else:
            self.text("stderr", self._afford(CUT))

    def error(self, name: str, value: str, traceback: list[str]) -> None:
        """Add what ended the cell."""
        lines = [line[:2_000] for line in (traceback if len(traceback) <= 30 else traceback[:10] + traceback[-20:])]
        size = len(value) + sum(map(len, lines))
        if size > self._left or len(self.outputs) >= CELL_OUTPUTS:
            value, lines = value[:200], []
        self._spend(size)
        if len(self.outputs) < 2 * CELL_OUTPUTS:
            self.outputs.append({"output_type": "error", "ename": name, "evalue": value, "traceback": lines})

    def _spend(self, characters: int) -> None:
        self._left -= characters
        self._submission_left -= characters

    def _afford(self, text: str) -> str:
        if self._cut:
            return ""
        left = min(self._left, self._submission_left)
        self._spend(len(text))
        if len(text) <= left and len(self.outputs) < CELL_OUTPUTS:
            return text
        self._cut = True
        return text[: max(left, 0)] + CUT


class Stream(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self._recorder = recorder

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._recorder.text(self.name, text)
        return len(text)

    def writable(self) -> bool:
        return True


class Hook(DisplayHook):
    """A cell's last expression becomes an execute_result."""

    def __call__(self, result: Any = None) -> None:
        if result is None or self.quiet():
            return
        data, _ = self.compute_format_data(result)
        self.update_user_ns(result)
        self.fill_exec_result(result)
        self.shell.recorder.rich("execute_result", data, self.prompt_count)


class Publisher(DisplayPublisher):
    """display() becomes display_data."""

    def publish(self, data: dict[str, Any], metadata: Any = None, **_: Any) -> None:
        self.shell.recorder.rich("display_data", data)

    def clear_output(self, wait: bool = False) -> None:
        self.shell.recorder.start()


class Shell(InteractiveShell):
    """IPython without a terminal, a figure window or a system shell."""

    recorder: Recorder

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        own = [entry for entry in stb if OURS not in entry]
        self.recorder.error(etype.__name__, message_of(evalue), own)

    def enable_matplotlib(self, gui: Any = None) -> tuple[str, str]:
        """Accept %matplotlib; figures are drawn in memory and not shown."""
        return "inline", "agg"

    def system(self, cmd: str) -> None:
        """Answer !command: nothing runs, and the cell goes on."""
        print(f"shell commands do not run while grading: {cmd}", file=sys.stderr)
        self.user_ns["_exit_code"] = 127

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Answer x = !command."""
        self.system(cmd)
        return SList() if split else ""

    def ask_exit(self) -> None:
        """Answer `exit`: a notebook being graded goes on."""


def message_of(error: BaseException) -> str:
    """The first 2000 characters of an error's message, whatever its class does."""
    try:
        return str(error)[:2000]
    except Exception:
        return "(the error's own text could not be made)"


def settings() -> Config:
    """How IPython is set for grading."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.xmode = "Plain"  # the default prints context, 40 ms an error
    config.InteractiveShell.colors = "nocolor"
    return config


def build() -> Shell:
    """Make the shell and run through it what cells usually do, so that a fork has nothing left to import."""
    shell = Shell.instance(config=settings(), displayhook_class=Hook, display_pub_class=Publisher)
    shell.recorder = Recorder()
    accept_inline_settings(shell)
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Stream("stdout", shell.recorder), Stream("stderr", shell.recorder)
    for source in WARM_UP:
        shell.run_cell(source, store_history=True)
    sys.stdout, sys.stderr = streams
    shell.reset(new_session=False)
    shell.execution_count = 1
    shell.history_manager.input_hist_parsed[:] = [""]
    shell.history_manager.input_hist_raw[:] = [""]
    return shell


WARM_UP = (
    "%matplotlib inline\nimport numpy as np\nimport matplotlib.pyplot as plt\nnp.ones((2, 2)) @ np.ones((2, 2))",
    "%time 1 + 1",
    "1 / 0",
    "def broken(:",
    "import numpy as np, numpy.testing, numpy.random\nnp.testing.assert_allclose([1.0], [2.0])",
    "import warnings\nwarnings.warn('warm')\ndisplay([1])",
    "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nplt.show()\nplt.close('all')",
)


def accept_inline_settings(shell: Shell) -> None:
    """Let %config InlineBackend... pass, as it does in Jupyter."""
    try:
        from matplotlib_inline.config import InlineBackend
    except ImportError:
        return
    shell.configurables.append(InlineBackend.instance(parent=shell))
