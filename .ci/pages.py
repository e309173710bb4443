"""Make the lessons into web pages with their pictures, for reading where no kernel runs.

    python .ci/pages.py [DIR]      default: build/pages

Every lesson is executed; an explorer becomes the picture it starts with. The handouts of the problem sets get a page
too, as they are: their functions are still to be written. Formulas are set by MathJax, which a page loads from the
network; without it they stand as LaTeX.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from html import escape
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
BINDER = f"https://mybinder.org/v2/gh/{REPOSITORY.removeprefix('https://github.com/')}/main?urlpath=lab/tree/"
LINK = re.compile(r"\]\((?!\w+:|#|/)([^)#\s]+)")  # to a file, relative to the notebook

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HANDOUTS = sorted((ROOT / "autograder/course/release").glob("*/*.ipynb"))
PAGES = {path: path.with_suffix(".html").name for path in (*LESSONS, *HANDOUTS)}


def execute(path: Path) -> nbformat.NotebookNode:
    """Run a notebook in its own folder, from top to bottom."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=120, store_widget_state=False, resources={"metadata": {"path": path.parent}}
    ).execute()
    return notebook


def banner(path: Path) -> str:
    """What a reader must know first, and where it moves."""
    launch = f"[Launch it on Binder]({BINDER}{path.relative_to(ROOT).as_posix()})"
    if path in HANDOUTS:
        return f"> A still page: nothing runs here. {launch} to write your answers and check them."
    return f"> A still page: sliders show the picture they start with. {launch} to move them."


def with_links(text: str, path: Path) -> str:
    """A link to a notebook leads to its page, a link to any other file to the repository."""

    def lead(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(path.parent / match[1]))
        return f"]({PAGES.get(target) or f'{REPOSITORY}/blob/main/{target.relative_to(ROOT).as_posix()}'}"

    return LINK.sub(lead, text)


def figure(image: str, look: dict) -> str:
    """A picture with its text for those who cannot see it; under an explorer's, the words that stand around it."""
    words = [f"<strong>{escape(look['title'])}</strong>"] if look.get("title") else []
    if "description" in look:
        words += [escape(look["description"]), escape(look["alt"])]
    caption = f"<figcaption>{'<br>'.join(filter(None, words))}</figcaption>" if words else ""
    size = f'width="{look["width"]}" height="{look["height"]}" style="max-width: none"'  # a narrow page scrolls it
    picture = f'<img src="data:image/png;base64,{image}" alt="{escape(look["alt"])}" {size}>'
    return f'<figure style="margin: 0"><div style="overflow-x: auto">{picture}</div>{caption}</figure>'


def as_page(notebook: nbformat.NotebookNode, path: Path) -> nbformat.NotebookNode:
    """The notebook with a banner, with links between pages, and with figures in place of pictures and widgets."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = with_links(cell.source, path)
        for output in cell.get("outputs", []):
            look = output.get("metadata", {}).get("image/png", {})
            if "alt" in look:
                output.data = {"text/html": figure(output.data["image/png"].strip(), look)}
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(banner(path), id="banner"))
    return notebook


def main() -> None:
    """Write a page for every lesson and every handout."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/pages"
    folder.mkdir(parents=True, exist_ok=True)
    exporter = HTMLExporter(sanitize_html=False)
    for path, name in tqdm(PAGES.items(), unit="page"):
        notebook = execute(path) if path in LESSONS else nbformat.read(path, as_version=4)
        page, _ = exporter.from_notebook_node(as_page(notebook, path), {"metadata": {"name": path.stem}})
        (folder / name).write_text(page)
    print(f"Pages: {folder}")


if __name__ == "__main__":
    main()
