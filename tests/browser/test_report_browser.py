"""The reports in Chromium: by day and by night, on a phone, on paper, and under what hostile submissions try."""

import shutil
from itertools import pairwise

import pytest

from autograder import cli

pytestmark = [pytest.mark.browser, pytest.mark.sandbox]
SET = "ps1_rnn"
STUDENTS = ("ada_plain", "gil_transposed", "kim_batch_first", "evil_scripts_the_reader", "evil_exits")
# Every text that is seen, with its contrast: WCAG 2.2's formula, against the nearest background that is painted.
CONTRASTS = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), element = walk.currentNode.parentElement;
    if (!text || element.closest("style") || !element.checkVisibility()) continue;
    let painted = element;
    while (painted && (parse(getComputedStyle(painted).backgroundColor)[3] === 0)) painted = painted.parentElement;
    const paper = light(parse(getComputedStyle(painted || document.body).backgroundColor));
    const ink = light(parse(getComputedStyle(element).color));
    found.push([(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), text.slice(0, 60)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def root(sample_class, tmp_path_factory):
    """A few of the sample class, with their pages."""
    root = tmp_path_factory.mktemp("course")
    sample_class.make(root)
    for folder in (root / "submitted").iterdir():
        if folder.name not in STUDENTS:
            shutil.rmtree(folder)
    for command in ("grade", "feedback", "report"):
        assert cli.main([command, SET, "--course", str(root)]) == 0
    return root


@pytest.fixture(scope="module", params=["class", "kim_batch_first", "evil_scripts_the_reader"])
def page(request, root, chromium):
    """Each page in turn, every detail open; on leaving, any word in the console fails the test."""
    path = root / f"report/{SET}.html"
    if request.param != "class":
        path = root / f"feedback/{request.param}/{SET}/{SET}.html"
    page = chromium.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("() => document.querySelectorAll('details').forEach((detail) => { detail.open = true })")
    yield page
    assert not said, said
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_can_be_read(page, scheme):
    page.emulate_media(media="screen", color_scheme=scheme)
    found = page.evaluate(CONTRASTS)
    assert len(found) > 10
    assert min(found)[0] >= 4.5, min(found)


def test_night_is_dark(page):
    page.emulate_media(media="screen", color_scheme="dark")
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert max(int(value) for value in paper[4:-1].split(",")) < 60


def test_a_phone_never_scrolls_sideways(page):
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_headings_go_down_one_level_at_a_time(page):
    levels = page.evaluate("() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_pictures_and_landmarks_are_named(page):
    assert page.locator("main").count() == page.locator("header").count() == 1
    assert page.locator("html[lang=en]").count() == 1
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("section:not([aria-labelledby])").count() == 0
    labels = page.evaluate(
        "() => [...document.querySelectorAll('section')].map((s) => s.getAttribute('aria-labelledby'))"
    )
    assert all(page.locator(f"#{label}").count() == 1 for label in labels)


def test_every_link_within_the_page_leads_somewhere(page):
    missing = page.evaluate(
        "() => [...document.querySelectorAll('a[href^=\"#\"]')].filter((a) => !document.querySelector(a.hash)).length"
    )
    assert missing == 0


def test_paper_is_white_and_cuts_nothing_off(page):
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": 670, "height": 950})  # A4 without its margins
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert min(page.evaluate(CONTRASTS))[0] >= 4.5
    cut = page.evaluate(
        "() => [...document.querySelectorAll('pre, .table, body')]"
        "  .filter((box) => box.scrollWidth > box.clientWidth + 1).length"
    )
    assert cut == 0


def test_no_submission_changes_the_page(page):
    assert page.title().startswith(f"{SET}: ")
    assert page.locator("script, iframe, main img[src^=http]").count() == 0
