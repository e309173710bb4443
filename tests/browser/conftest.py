"""A JupyterLab in Chromium, for tests that touch a notebook as a reader does.

    def test_something(lab):
        lab.write("try.ipynb", "1 + 1")
        with lab.open("try.ipynb") as notebook:
            notebook.run_all()
            notebook.page.locator(...)

Leaving the `with` fails the test on any error in the browser's console. The server, its settings and its files live in
a temporary folder; nothing of the user's own Jupyter is read or written.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

REPOSITORY = pathlib.Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # otherwise only what is near the eye is on the page
}
# Launch badges are pictures from other hosts; a test machine may have no network, so they come out blank.
ELSEWHERE = re.compile(r"^https?://(?!127\.0\.0\.1[:/])")
BLANK = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="20"/>'
# The badge in the page turns idle too early, so ask the kernel connection itself.
KERNEL_IDLE = """() => {
  const session = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  const kernel = session?.session?.kernel;
  return session?.isReady && kernel?.connectionStatus === "connected" && kernel.status === "idle";
}"""
FAILURES = """() => window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === "code")
  .flatMap((cell) => cell.model.outputs.toJSON())
  .filter((output) => output.output_type === "error")
  .map((error) => `${error.ename}: ${error.evalue}`)"""
# Every cell that has code has its number and no longer runs, or one failed and the rest never will.
ALL_RUN = f"""() => ({FAILURES})().length > 0 || window.jupyterapp.shell.currentWidget.content.widgets
  .filter((cell) => cell.model.type === "code" && cell.model.sharedModel.source.trim())
  .every(({{model}}) => model.executionCount !== null && model.executionState !== "running")"""


class Notebook:
    """A notebook open in JupyterLab; `page` is Playwright's, `errors` what the browser's console complained of."""

    def __init__(self, page, errors: list[str]) -> None:
        self.page, self.errors = page, errors

    def wait_until_idle(self, timeout: float = 60) -> None:
        """Wait until the kernel is connected and has nothing to do."""
        self.page.wait_for_function(KERNEL_IDLE, timeout=1000 * timeout)

    def run_all(self, timeout: float = 240) -> None:
        """Run every cell and wait for the last; an exception in a cell fails the test with its message."""
        self.wait_until_idle()
        # not awaited: the command's promise may never resolve
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        self.page.wait_for_function(ALL_RUN, timeout=1000 * timeout)
        failures = self.page.evaluate(FAILURES)
        assert not failures, f"a cell failed: {failures}"
        self.wait_until_idle(timeout)

    def screenshot(self, path: pathlib.Path) -> pathlib.Path:
        """What the page shows, as a PNG in `path`."""
        self.page.screenshot(path=path)
        return path


class Lab:
    """A running JupyterLab whose files lie in `root`."""

    def __init__(self, browser, address: str, token: str, root: pathlib.Path) -> None:
        self._browser, self._address, self._token, self.root = browser, address, token, root

    def write(self, name: str, *cells: str) -> pathlib.Path:
        """A notebook of code cells, written into the root."""
        import nbformat.v4 as v4

        notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = self.root / name
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return path

    def copy(self, folder: pathlib.Path) -> pathlib.Path:
        """A copy of a folder of notebooks in the root; running them leaves the originals untouched."""
        return shutil.copytree(folder, self.root / folder.name, dirs_exist_ok=True)

    @contextlib.contextmanager
    def open(self, name: str, width: int = 1280, height: int = 900) -> Iterator[Notebook]:
        """A notebook of the root in a fresh page, its kernel idle; on leaving, any console error fails the test."""
        page = self._browser.new_page(viewport={"width": width, "height": height})
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.route(ELSEWHERE, lambda route: route.fulfill(content_type="image/svg+xml", body=BLANK))
        try:
            page.goto(f"{self._address}/lab/tree/{name}?token={self._token}&reset", wait_until="domcontentloaded")
            page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
            notebook = Notebook(page, errors)
            notebook.wait_until_idle()
            yield notebook
            assert not errors, f"the browser's console complained: {errors}"
        finally:
            self._shut_down_kernels()
            page.close()

    def _shut_down_kernels(self) -> None:
        headers = {"Authorization": f"token {self._token}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self._address}/api/sessions", headers=headers)) as answer:
            sessions = json.load(answer)
        for session in sessions:
            url = f"{self._address}/api/sessions/{session['id']}"
            urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="DELETE")).close()


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Start Chromium; stop it on leaving. One at a time: Playwright allows no second one beside it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextlib.contextmanager
def running_lab(folder: pathlib.Path, browser: Browser) -> Iterator[Lab]:
    """Start JupyterLab with everything it writes in `folder`; stop it on leaving."""
    root = folder / "root"
    settings = folder / "settings" / "@jupyterlab"
    root.mkdir(parents=True)
    for plugin, setting in SETTINGS.items():
        path = settings / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(setting))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
    }
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"),
        "--LabApp.expose_app_in_browser=True",
    ]
    address = f"http://127.0.0.1:{port}"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"{address}/api/status?token={token}", server, folder / "server.log")
            yield Lab(browser, address, token, root)
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(url: str, server: subprocess.Popen, log: pathlib.Path, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for all tests of a run."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    pytest.importorskip("playwright", reason="playwright is not installed")
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One JupyterLab for all tests of a run; each test opens its own page and kernel."""
    pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")
    with running_lab(tmp_path_factory.mktemp("lab"), chromium) as running:
        yield running
