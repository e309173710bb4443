"""How long after a key press is the new picture painted? Our Explorer against ipywidgets.interact with matplotlib.

    python benchmarks/latency.py [--moves 60] [--json FILE]

Both show the same picture, the hidden states (T, H) = (40, 16) of an RNN as a heatmap and their norm as a line, in one
notebook in JupyterLab in Chromium, with the spectral radius on a slider. The moves alternate between the two. A move
starts at the time stamp of the keydown event and ends in the first animation frame after the new picture is there: our
canvas redrawn, or matplotlib's image decoded. Needs the extras lab and dev, and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import statistics
import tempfile
from collections.abc import Iterator
from typing import Any

COMPUTE = """
import numpy as np
from rnnlib import viz
from rnnlib.cells import rnn

T, N, D, H = 40, 1, 1, 16
rng = np.random.default_rng(0)
W_hh = rng.normal(size=(H, H))
W_hh /= np.abs(np.linalg.eigvals(W_hh)).max()
W_ih, zeros = rng.normal(size=(H, D)), np.zeros(H)
x = np.where(np.arange(T)[:, None, None] < 10, rng.normal(size=(T, N, D)), 0.0)

def states(rho):
    return rnn.forward(x, np.zeros((N, H)), W_ih, rho * W_hh, zeros, zeros)[0][:, 0]
"""
EXPLORER = """
def draw(rho):
    hs = states(rho)
    return viz.Scene([
        viz.Panel([viz.Heatmap(hs.T, label="activation", limits=(-1, 1))], title="Hidden states",
                  x_label="time (steps)", y_label="unit"),
        viz.Panel([viz.Line(np.arange(T), np.linalg.norm(hs, axis=1))], title="Norm of the state",
                  x_label="time (steps)", y_label="norm", y_limits=(0, 4)),
    ], alt=f"Spectral radius {rho:.2f}; the last state has norm {np.linalg.norm(hs[-1]):.2g}.")

viz.Explorer(draw, viz.Slider("rho", "spectral radius", 0.0, 2.0, 0.05, 0.5))
"""
INTERACT = """
import matplotlib.pyplot as plt
from ipywidgets import FloatSlider, interact

def show(rho):
    hs = states(rho)
    figure, (above, below) = plt.subplots(2, 1, figsize=(7.6, 5.4), gridspec_kw={"hspace": 0.5})
    image = above.imshow(hs.T, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    above.set(title="Hidden states", xlabel="time (steps)", ylabel="unit")
    figure.colorbar(image, label="activation")
    below.plot(np.linalg.norm(hs, axis=1))
    below.set(title="Norm of the state", xlabel="time (steps)", ylabel="norm", ylim=(0, 4))
    below.grid()
    plt.show()

interact(show, rho=FloatSlider(0.5, min=0, max=2, step=0.05, description="rho"));
"""
# watch(name, place, index) resolves to the milliseconds from the next keydown to the animation frame after the picture
# has changed; the picture is the index-th element that the selector `place` finds.
PLACES = {"explorer": "canvas[data-drawn]", "interact": ".widget-interact .jp-OutputArea"}
WATCH = """() => {
  window.watch = (name, place, index) => { window.move = new Promise((done) => {
    let start = null;
    addEventListener("keydown", (event) => { start = event.timeStamp; }, { capture: true, once: true });
    const painted = () => requestAnimationFrame(() => { seen.disconnect(); done(performance.now() - start); });
    const seen = new MutationObserver((changes) => {
      if (start === null) return;
      if (name === "explorer") return painted();
      const image = changes.flatMap((c) => [...c.addedNodes]).map((n) => n.querySelector?.("img")).find(Boolean);
      if (image) image.decode().then(painted);
    });
    const what = { attributeFilter: ["data-drawn"], childList: true, subtree: true };
    seen.observe(document.querySelectorAll(place)[index], what);
  }); };
}"""


@contextlib.contextmanager
def lab_in_chromium() -> Iterator[Any]:
    """A JupyterLab in Chromium, as the browser tests have it."""
    conftest = pathlib.Path(__file__).parents[1] / "tests" / "browser" / "conftest.py"
    spec = importlib.util.spec_from_file_location("browser_tests", conftest)
    assert spec is not None
    assert spec.loader is not None
    tests = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tests)
    with (
        tempfile.TemporaryDirectory() as folder,
        tests.running_chromium() as browser,
        tests.running_lab(pathlib.Path(folder), browser) as lab,
    ):
        yield lab


def measure(moves: int) -> tuple[dict[str, list[float]], str]:
    """Milliseconds of each move, by name, and Chromium's version."""
    times: dict[str, list[float]] = {"explorer": [], "interact": []}
    with lab_in_chromium() as lab:
        lab.write("latency.ipynb", COMPUTE, EXPLORER, INTERACT)
        with lab.open("latency.ipynb", height=2400) as notebook:  # both on screen: nothing scrolls during a move
            notebook.run_all()
            page = notebook.page
            page.wait_for_selector("canvas[data-drawn]")
            page.wait_for_selector(".widget-interact img")
            page.evaluate(WATCH)
            handles = {
                "explorer": page.get_by_role("slider", name="spectral radius"),
                "interact": page.locator(".noUi-handle"),
            }
            for i in range(-5, moves):  # the first five warm up
                key = "ArrowRight" if i // 25 % 2 == 0 else "ArrowLeft"
                for name, handle in handles.items():
                    handle.focus()
                    page.evaluate("([name, place]) => watch(name, place, 0)", [name, PLACES[name]])
                    page.keyboard.press(key)
                    elapsed = page.evaluate("() => window.move")
                    notebook.wait_until_idle()
                    page.wait_for_timeout(100)
                    if i >= 0:
                        times[name].append(elapsed)
            version = page.context.browser.version
    return times, version


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """Median and 95th percentile of each, in milliseconds, and how many times faster the Explorer's median is."""
    result: dict[str, Any] = {
        name: {"median_ms": statistics.median(t), "p95_ms": statistics.quantiles(t, n=20)[-1], "moves": len(t)}
        for name, t in times.items()
    }
    return result | {"ratio_of_medians": result["interact"]["median_ms"] / result["explorer"]["median_ms"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=60, help="key presses on each slider (default 60)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    times, version = measure(arguments.moves)
    result = summary(times)
    machine = {"cores": os.cpu_count(), "load_before": load, "chromium": version}
    print(f"key press to painted picture, {arguments.moves} moves each, {machine}")
    print(f"{'':10} {'median':>8} {'p95':>8}")
    for name in times:
        print(f"{name:10} {result[name]['median_ms']:6.1f}ms {result[name]['p95_ms']:6.1f}ms")
    print(f"the explorer's median is {result['ratio_of_medians']:.1f} times shorter")
    if arguments.json:
        arguments.json.write_text(json.dumps(result | {"machine": machine}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
