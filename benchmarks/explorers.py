"""How long after a key press is each explorer of the lessons painted anew? Beside ipywidgets.interact with matplotlib.

    python benchmarks/explorers.py [--moves 20] [--json FILE] [LESSON ...]

Every lesson is opened in JupyterLab in Chromium and run; the first slider of each of its explorers is moved back and
forth. The peer is latency.py's: a picture of two panels drawn by matplotlib in an ipywidgets.interact, measured by the
same clock in the same browser before the lessons. Needs the extras lab and dev, and Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

import latency
from tqdm import tqdm

LESSONS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def moved(notebook: Any, selector: str, index: int, name: str, handle: Any, moves: int) -> list[float]:
    """Milliseconds from a key press to the painted picture; the first three warm up and are left out."""
    page, times = notebook.page, []
    for i in range(-3, moves):
        handle.focus()
        page.evaluate("([name, selector, index]) => watch(name, selector, index)", [name, selector, index])
        page.keyboard.press("ArrowRight" if i % 2 else "ArrowLeft")
        elapsed = page.evaluate("() => Promise.race([window.move, new Promise((r) => setTimeout(r, 3000, null))])")
        notebook.wait_until_idle()
        page.wait_for_timeout(50)
        if i >= 0 and elapsed is not None:
            times.append(elapsed)
    return times


def measure(lessons: list[Path], moves: int) -> dict[str, list[float]]:
    """By explorer ("lesson: title"), and for the peer "interact"."""
    times: dict[str, list[float]] = {}
    with latency.lab_in_chromium() as lab:
        lab.write("interact.ipynb", latency.COMPUTE, latency.INTERACT)
        with lab.open("interact.ipynb") as notebook:
            notebook.run_all()
            notebook.page.wait_for_selector(".widget-interact img")
            notebook.page.evaluate(latency.WATCH)
            handle = notebook.page.locator(".noUi-handle")
            times["interact"] = moved(notebook, ".widget-interact .jp-OutputArea", 0, "interact", handle, moves)
        lab.copy(LESSONS[0].parent)
        for lesson in tqdm(lessons, unit="lesson"):
            with lab.open(f"notebooks/{lesson.name}") as notebook:
                notebook.run_all(timeout=300)
                notebook.page.evaluate(latency.WATCH)
                for index, explorer in enumerate(notebook.page.locator("section.rnn-explorer").all()):
                    explorer.scroll_into_view_if_needed()
                    explorer.locator("canvas[data-drawn]").wait_for()
                    slider = explorer.locator("input[type=range]").first
                    if slider.count():
                        title = f"{lesson.stem}: {explorer.get_attribute('aria-label')}"
                        times[title] = moved(notebook, "section.rnn-explorer canvas", index, "explorer", slider, moves)
    return times


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help="the beginning of a lesson's name; all without")
    parser.add_argument("--moves", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    chosen = [p for p in LESSONS if not options.lessons or p.stem.startswith(tuple(options.lessons))]
    load = os.getloadavg()[0]
    times = measure(chosen, options.moves)
    peer = statistics.median(times["interact"])
    print(f"key press to painted picture, {options.moves} moves each, load before: {load:.1f}")
    rows = {}
    for name, taken in times.items():
        median, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
        rows[name] = {"median_ms": median, "p95_ms": p95, "moves": len(taken), "ratio": peer / median}
        print(f"{name[:70]:70} {median:6.1f} ms   95 % under {p95:6.1f} ms   {peer / median:5.1f} x")
    if options.json:
        options.json.write_text(json.dumps(rows | {"load_before": load}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
