"""Make the lessons into web pages with their pictures, for reading where no kernel runs.

    python .ci/pages.py [DIR]      default: build/pages

Every lesson is executed; an explorer becomes the picture it starts with.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in its own folder, from top to bottom."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=120, store_widget_state=False, resources={"metadata": {"path": path.parent}}
    ).execute()
    return notebook


def without_widgets(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Where an output has a picture beside its widget, a page shows the picture."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                output.data.pop(WIDGET, None)
    return notebook


def main() -> None:
    """Write a page for every lesson."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/pages"
    folder.mkdir(parents=True, exist_ok=True)
    exporter = HTMLExporter(sanitize_html=False)
    for path in tqdm(sorted((ROOT / "notebooks").glob("*.ipynb")), unit="lesson"):
        page, _ = exporter.from_notebook_node(without_widgets(execute(path)), {"metadata": {"name": path.stem}})
        (folder / path.with_suffix(".html").name).write_text(page)
    print(f"Pages: {folder}")


if __name__ == "__main__":
    main()
