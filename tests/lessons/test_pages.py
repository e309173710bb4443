"""The web pages: links lead to pages, pictures have their text, and a reader hears that the page is still."""

import html
import re

import nbformat
import pytest

from tests.conftest import ROOT, load

pytest.importorskip("rnnlib.viz", reason="the extra lab is not installed")

from rnnlib import viz

pages = load(ROOT / ".ci/pages.py")
LESSON = ROOT / "notebooks/03_rnn_forward.ipynb"
HANDOUT = ROOT / "autograder/course/release/ps1_rnn/ps1_rnn.ipynb"


def draw(w):
    return viz.Scene([viz.Panel([viz.Line([0, 1], [0, w])])], alt=f"A <line> that ends at {w}.")


def shown(thing):
    data, metadata = thing._repr_mimebundle_()
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


@pytest.fixture(scope="module")
def page():
    """A small notebook, standing where lesson 03 stands, as HTML."""
    from nbconvert import HTMLExporter

    text = "[back](00_start_here.ipynb#map) [set](../autograder/course/release/ps1_rnn/ps1_rnn.ipynb) "
    text += "[all](../README.md) [paper](https://doi.org/10.1/x) [here](#map)"
    slider = viz.Slider("w", "weight", 0.0, 2.0, 0.1, 0.9)
    explorer = viz.Explorer(draw, slider, title="Where does it end?", description="Drag & see.")
    cells = [nbformat.v4.new_markdown_cell(text)]
    cells += [nbformat.v4.new_code_cell("", outputs=[shown(thing)]) for thing in (explorer, draw(0.5))]
    notebook = pages.as_page(nbformat.v4.new_notebook(cells=cells), LESSON)
    return HTMLExporter(sanitize_html=False).from_notebook_node(notebook)[0]


def test_links_lead_to_pages_and_else_to_the_repository(page):
    links = re.findall(r'<a href="([^"]*)">(?:back|set|all|paper|here)<', page)
    readme = f"{pages.REPOSITORY}/blob/main/README.md"
    assert links == ["00_start_here.html#map", "ps1_rnn.html", readme, "https://doi.org/10.1/x", "#map"]


def test_every_picture_has_its_text(page):
    texts = [html.unescape(alt) for alt in re.findall(r'<img [^>]*alt="([^"]*)"', page)]
    assert texts == ["A <line> that ends at 0.9.", "A <line> that ends at 0.5."]
    assert "No description" not in page


def test_under_an_explorer_stand_its_title_description_and_text(page):
    (caption,) = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S)
    for words in ("Where does it end?", "Drag &amp; see.", "A &lt;line&gt; that ends at 0.9."):
        assert words in caption


def test_a_banner_says_that_the_page_is_still_and_launches_this_notebook(page):
    assert page.index("A still page") < page.index("back</a>")
    assert f'href="{pages.BINDER}notebooks/03_rnn_forward.ipynb"' in page
    assert HANDOUT.relative_to(ROOT).as_posix() in pages.banner(HANDOUT)
    assert "sliders" not in pages.banner(HANDOUT)


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: path.stem)
def test_no_page_links_to_a_notebook_as_a_file(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for target in re.findall(r"\]\(([^)#]+)", pages.with_links(cell.source, path)):
            assert target.startswith("https:") or target in pages.PAGES.values(), target
