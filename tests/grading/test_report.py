"""The reports: what a student and an instructor read, what neither may see, and who is flagged as alike."""

import json
import random
import re
import shutil
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

import rnnlib
from autograder import cli
from autograder.course_files import Course
from autograder.report import pages, plain, records, similarity
from autograder.report.class_report import _durations, _span, _unexplained

SET = "ps1_rnn"
SEED = 918_273_645_546
LIBRARY = Path(rnnlib.__file__).parent


def run(*arguments):
    assert cli.main([str(argument) for argument in arguments]) == 0


# ---- a class that was graded ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(sample_class, tmp_path_factory):
    """Six submissions, graded; then what a person adds: a score, a comment, a due date, two names on the roster."""
    root = tmp_path_factory.mktemp("course")
    sample_class.make(root)
    for folder in (root / "submitted").iterdir():
        if folder.name not in ("ada_plain", "gil_transposed", "kim_batch_first", "evil_scripts_the_reader"):
            (folder / SET / f"{SET}.ipynb").unlink()
            (folder / SET).rmdir()
            folder.rmdir()
    step, forward, readout = sample_class.RIGHT["bert_einsum"]
    noisy = step + '\nprint("<b>loud</b>\\x1b[31m")\n# <script>alert(1)</script>\n'
    sample_class._hand_in(root, "bea_prints", sample_class._answered(noisy, forward, readout))
    copied = [renamed(text) for text in (step, forward, readout)]
    sample_class._hand_in(root, "cem_renames", sample_class._answered(*copied))
    run("grade", SET, "--course", root, "--seed", SEED)
    course = Course.at(root)
    with Gradebook(course.db_url, course.course_id) as gradebook:
        for student in ("yuri_absent", "zoe_absent"):
            gradebook.update_or_create_student(student)
        gradebook.find_assignment(SET).duedate = datetime(2026, 3, 1)
        gradebook.find_submission(SET, "kim_batch_first").timestamp = datetime(2026, 3, 2, 12)
        gradebook.find_submission(SET, "gil_transposed").timestamp = datetime(2026, 3, 2, 12)
        gradebook.find_submission(SET, "gil_transposed").extension = timedelta(days=3)
        submitted = gradebook.find_submission_notebook(SET, SET, "kim_batch_first")
        submitted.late_submission_penalty = 2
        next(grade for grade in submitted.grades if grade.name == "why_any_length").manual_score = 1.5
        comment = next(comment for comment in submitted.comments if comment.name == "why_any_length")
        comment.manual_comment = "# Good\n\nBut *why*? <script>alert(1)</script>"
        gradebook.db.commit()
    run("feedback", SET, "--course", root)
    run("report", SET, "--course", root)
    return root


def page(root, student, suffix=".html"):
    return (root / f"feedback/{student}/{SET}/{SET}{suffix}").read_text()


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


class Seen(HTMLParser):
    """The tags and attributes of a page, as a browser would read them."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes = set(), []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes


@pytest.mark.sandbox
class TestFeedback:
    def test_points_stand_before_anything_else(self, root):
        text = words(page(root, "kim_batch_first").split("<main>")[1])
        assert text.strip().startswith("10.5 of 20 points")  # the machine's 11, a person's 1.5, 2 off

    def test_each_question_says_what_happened_before_it_shows_code(self, root):
        section = page(root, "kim_batch_first").split('<section id="rnn_forward"')[1].split("</section>")[0]
        assert section.index("Time is the first axis") < section.index("Read again") < section.index("np.stack")
        assert "hs: 0 of 5" in section
        assert "h_last: 2 of 2" in section

    def test_code_stands_with_its_own_question(self, root):
        section = page(root, "ada_plain").split('<section id="readout"')[1].split("</section>")[0]
        assert "def readout" in section
        assert "def rnn_step" not in section

    def test_a_persons_score_and_comment_are_shown_and_cleaned(self, root):
        section = page(root, "kim_batch_first").split('<section id="why_any_length"')[1]
        assert "Read by a person: 1.5 of 3 points" in words(section)
        assert "But <em>why</em>?" in section
        assert "alert(1)" not in section
        assert "<h1" not in section

    def test_nothing_hidden_is_on_any_page(self, root):
        everyone = {path.name for path in (root / "submitted").iterdir()}
        source = json.loads((LIBRARY.parent / f"autograder/course/source/{SET}/{SET}.ipynb").read_text())
        solutions = re.findall(r"### BEGIN SOLUTION\n(.*?)### END", "".join(map(_source, source["cells"])), re.S)
        assert solutions
        for student in everyone:
            for suffix in (".html", ".txt"):
                text = page(root, student, suffix)
                assert str(SEED) not in text
                assert not [other for other in everyone - {student} if other in text]
                assert str(root) not in text
        for line in (line.strip() for line in solutions[0].splitlines() if len(line.strip()) > 20):
            assert line not in page(root, "evil_scripts_the_reader")

    def test_no_page_lets_a_browser_run_or_fetch_anything(self, root):
        for path in [*root.glob(f"feedback/*/{SET}/{SET}.html"), root / f"report/{SET}.html"]:
            text = path.read_text()
            assert "default-src 'none'" in text
            assert "script-src" not in text
            seen = Seen()
            seen.feed(text)
            assert not seen.tags & {"script", "iframe", "object", "embed", "link", "form", "base", "svg", "video"}
            assert not {name for name, _ in seen.attributes if name.startswith("on") or name == "srcset"}
            for name, value in seen.attributes:
                if name in ("src", "href"):
                    assert re.match(r"#|\.\./feedback/|data:image/(png|jpeg);|https://github\.com/", value), value

    def test_what_code_printed_is_shown_as_text(self, root):
        assert "&lt;b&gt;loud&lt;/b&gt;" in page(root, "bea_prints")

    def test_the_same_records_give_the_same_bytes(self, root):
        paths = sorted([*root.glob(f"feedback/*/{SET}/*"), root / f"report/{SET}.html"])
        before = [path.read_bytes() for path in paths]
        run("feedback", SET, "--course", root)
        run("report", SET, "--course", root)
        assert [path.read_bytes() for path in paths] == before
        assert not list(root.glob("feedback/*/*/.*"))

    def test_the_letter_says_what_the_page_says(self, root):
        for path in root.glob(f"feedback/*/{SET}/{SET}.txt"):
            letter, html = path.read_text(), words(path.with_suffix(".html").read_text())
            points = re.search(r"^(\S+ of \S+ points)", letter, re.M)[1]
            assert points in html
            for title in ("One step", "The loop over time", "Readout and softmax", "In your own words"):
                assert title in letter
                assert title in html

    def test_the_letter_fits_a_mail(self, root):
        letter = page(root, "kim_batch_first", ".txt")
        assert all(len(line) <= plain.WIDTH for line in letter.splitlines() if "http" not in line)
        assert "Time is the first axis" in letter
        assert "Handed in late: 2 points are off." in letter
        assert "Comment: Good" in letter
        assert all(c.isprintable() or c == "\n" for c in letter)

    def test_who_is_gone_from_autograded_is_named_and_the_others_have_pages(self, root, tmp_path, capsys):
        copied = tmp_path / "course"
        shutil.copytree(root, copied)
        shutil.rmtree(copied / "autograded/ada_plain")
        run("feedback", SET, "--course", copied)
        assert "No page for ada_plain" in capsys.readouterr().out


def _source(cell):
    return "".join(cell["source"]) + "\n"


@pytest.mark.sandbox
class TestClassReport:
    @pytest.fixture
    def text(self, root):
        return (root / f"report/{SET}.html").read_text()

    def section(self, text, name):
        return words(text.split(f'aria-labelledby="{name}"')[1].split("</section>")[0])

    def test_who_handed_in_nothing_is_named(self, text):
        assert "handed in nothing (2): yuri_absent, zoe_absent" in self.section(text, "people")

    def test_an_extension_counts_before_somebody_is_late(self, text):
        assert "kim_batch_first 1 day 2" in self.section(text, "people")
        assert "gil_transposed" not in self.section(text, "people")

    def test_each_mistake_comes_with_the_words_the_count_and_the_lesson(self, text):
        section = self.section(text, "mistakes")
        assert "recurrent_weights_not_transposed 1 student" in section.replace("\u200b", "")
        assert "W_hh is used without a transpose" in section
        assert "03_rnn_forward.ipynb, “The recurrence”" in section
        assert re.search(r'href="https://github\.com/[^"]*/notebooks/03_rnn_forward\.ipynb"', text)

    def test_every_submission_is_in_one_bar(self, text):
        section = text.split('aria-labelledby="scores"')[1].split("</section>")[0]
        counts = [int(count) for count in re.findall(r'<td class="number">(\d+)</td>', section)]
        assert sum(counts) == 6

    def test_a_renamed_copy_is_flagged_for_a_person(self, text):
        section = self.section(text, "alike")
        assert "Flagged for a person to look at, never punished by the machine." in section
        assert "bea_prints, cem_renames" in section

    def test_it_says_what_chance_alone_would_flag(self, text):
        assert "chance alone accounts for about 0.002 pairs" in text  # 15 pairs

    def test_being_alike_costs_nothing(self, root):
        found = records.latest_records(Course.at(root), SET)
        assert found["bea_prints"]["points"] == found["cem_renames"]["points"] == 17


# ---- parts ----------------------------------------------------------------------------------------------------------


def test_durations_are_of_runs_that_have_one():
    assert _durations([]) == {}
    found = _durations([float(i) for i in range(1, 101)])
    assert (found["median"], found["p95"], found["longest"], found["total"]) == (50.5, 95, 100, 5050)


def test_seconds_are_read_from_the_newest_whole_line(tmp_path):
    course = Course(tmp_path)
    (tmp_path / "journal").mkdir()
    lines = [{"record": {"student": "a"}, "seconds": s} for s in (1, 2)] + [{"record": {"student": "b"}}]
    (tmp_path / f"journal/{SET}.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"record": {"stu')
    assert records.seconds_run(course, SET) == {"a": 2.0}


def test_messages_that_differ_in_numbers_are_one_group():
    def record(student, message):
        entry = {"points": 0, "max_points": 1, "bugs": [], "message": message, "title": "One step"}
        return {"student": student, "questions": {"rnn_step": entry}}

    told = [("a", "3 of 15 entries differ by 1e-05."), ("b", "12 of 15 entries differ by 0.5."), ("c", "It raised.")]
    rows = _unexplained([record(*each) for each in told])
    assert [row["students"] for row in rows] == [["a", "b"], ["c"]]


def test_a_span_is_said_in_its_largest_unit():
    assert [_span(s) for s in (0.2, 61, 7_200, 200_000)] == ["less than a second", "1 minute", "2 hours", "2 days"]


def test_markdown_keeps_words_and_loses_everything_else():
    html = pages.cleaned(
        "# Big\n\n**bold** <img src=x onerror=y> [x](javascript:1) <style>p{}</style> <b onclick=z>t</b>"
    )
    assert "<strong>bold</strong>" in html
    assert not re.search(r"<h1|<img|javascript|style|onclick", html)


# ---- alike ----------------------------------------------------------------------------------------------------------


def independent(r):
    """A right answer to ps1_rnn by somebody who knows nobody: each habit drawn by itself."""

    def times(a, b):
        return r.choice([f"{a} @ {b}.T"] * 3 + [f"np.dot({a}, {b}.T)", f"{a}.dot({b}.T)", f"np.matmul({a}, {b}.T)"])

    terms = [times("x", "W_ih"), "b_ih", times("h", "W_hh"), "b_hh"]
    terms = r.choice([terms, [terms[0], terms[2], terms[1], terms[3]], r.sample(terms, 4)])
    v, whole = r.choice(["z", "a", "pre", "h_next", "out", "act", "raw", "s"]), " + ".join(terms)
    step = r.choice(
        [
            f"    return np.tanh({whole})\n",
            f"    {v} = {whole}\n    return np.tanh({v})\n",
            f"    {v} = np.tanh({whole})\n    return {v}\n",
            f"    i = {terms[0]} + {terms[1]}\n    j = {terms[2]} + {terms[3]}\n    return np.tanh(i + j)\n",
            f"    {v} = {terms[0]}\n    {v} += {terms[1]} + {terms[2]} + {terms[3]}\n    return np.tanh({v})\n",
        ]
    )
    hs, h = r.choice(["hs", "states", "out", "all_h"]), r.choice(["h", "h", "state", "h_t"])
    t, count = r.choice(["t", "t", "i"]), r.choice(["len(x)", "x.shape[0]"])
    steps, x_t = r.choice([(f"for {t} in range({count})", f"x[{t}]"), ("for x_t in x", "x_t")])
    call = f"{h} = rnn_step({x_t}, {h}, W_ih, W_hh, b_ih, b_hh)"
    last = r.choice([h, f"{hs}[-1]"])
    forward = r.choice(
        [
            r.choice([f"    {hs} = []\n    {h} = h0\n", f"    {h}, {hs} = h0, []\n"])
            + f"    {steps}:\n        {call}\n        {hs}.append({h})\n"
            + r.choice(
                [
                    f"    return np.{r.choice(['stack', 'array'])}({hs}), {last}\n",
                    f"    {hs} = np.stack({hs})\n    return {hs}, {last}\n",
                ]
            ),
            r.choice(["    T, N, D = x.shape\n    H = h0.shape[1]\n", "    T = x.shape[0]\n    N, H = h0.shape\n"])
            + f"    {hs} = np.{r.choice(['zeros', 'empty'])}((T, N, H))\n    {h} = {r.choice(['h0', 'h0.copy()'])}\n"
            + f"    for {t} in range(T):\n        {call.replace(x_t, f'x[{t}]')}\n        {hs}[{t}] = {h}\n"
            + f"    return {hs}, {last}\n",
            f"    {hs} = [h0]\n    for x_t in x:\n"
            + f"        {hs}.append(rnn_step(x_t, {hs}[-1], W_ih, W_hh, b_ih, b_hh))\n"
            + f"    return np.stack({hs}[1:]), {hs}[-1]\n",
        ]
    )
    axis, e = r.choice(["axis=-1, keepdims=True", "axis=2, keepdims=True"]), r.choice(["e", "exp", "ex", "num", "exps"])
    most = r.choice([f"logits.max({axis})", f"np.max(logits, {axis})"])
    total = r.choice([f"{e}.sum({axis})", f"np.sum({e}, {axis})"])
    scores = r.choice(["hs @ W.T + b", "hs @ W.T + b", "np.matmul(hs, W.T) + b", "np.einsum('tnh,vh->tnv', hs, W) + b"])
    readout = f"    logits = {scores}\n" + r.choice(
        [
            f"    {e} = np.exp(logits - {most})\n    return logits, {e} / {total}\n",
            f"    {e} = np.exp(logits - {most})\n    probs = {e} / {total}\n    return logits, probs\n",
            f"    m = {most}\n    {e} = np.exp(logits - m)\n    probs = {e} / {total}\n    return logits, probs\n",
            f"    low = logits - {most}\n    {e} = np.exp(low)\n    all_e = {total}\n    return logits, {e} / all_e\n",
        ]
    )
    return step + forward + readout


def renamed(text):
    names = {"h": "prev", "hs": "rows", "logits": "score", "e": "top", "t": "k", "z": "arg", "W": "M", "x": "inp"}
    return re.sub(r"(?<![\w.'])\w+", lambda match: names.get(match[0], match[0]), text)


@pytest.fixture(scope="module")
def strangers():
    r = random.Random(5)
    return [independent(r) for _ in range(500)]


def flagged(texts):
    return {(pair.first, pair.second) for pair in similarity.near_duplicates(texts)}


def test_strangers_are_flagged_as_rarely_as_the_report_says(strangers):
    pairs = len(strangers) * (len(strangers) - 1) / 2
    assert len(flagged(strangers)) <= 2 * similarity.CHANCE * pairs


def test_a_copy_is_found_whatever_its_disguise(strangers):
    for i in range(40):
        commented = "\n".join(f"{line}   # mine, {k}" for k, line in enumerate(strangers[i].splitlines()))
        spaced = strangers[i].replace(" + ", "+").replace("\n", "\n\n")
        touched = strangers[i].replace("np.stack", "np.array").replace("logits - ", "logits-")
        for copy in (strangers[i], commented, spaced, touched, renamed(strangers[i]), renamed(commented)):
            assert (0, 1) in flagged([strangers[i], copy])


def test_the_cheap_bound_loses_no_pair(strangers):
    """Against RapidFuzz's own table of all pairs."""
    from rapidfuzz import process
    from rapidfuzz.distance import Indel

    alphabet = similarity.Alphabet()
    spelt = list(dict.fromkeys(alphabet.spell(text) for text in strangers[:150]))
    found = set(similarity._alike(spelt, range(len(spelt)), 0.9))
    table = process.cdist(spelt, spelt, scorer=Indel.normalized_similarity)
    expected = {(i, j) for i in range(len(spelt)) for j in range(i + 1, len(spelt)) if table[i, j] >= 0.9}
    assert found == expected
    assert expected


def test_short_texts_are_not_compared():
    assert not flagged(["    return np.tanh(x @ W.T)"] * 3)


def test_a_ring_is_one_group(strangers):
    pairs = similarity.near_duplicates([strangers[0], strangers[1], strangers[0], renamed(strangers[0]), strangers[1]])
    assert similarity.grouped(pairs) == [[0, 2, 3], [1, 4]]


def test_the_handouts_lines_are_nobodys_own():
    released = json.loads((LIBRARY.parent / f"autograder/course/release/{SET}/{SET}.ipynb").read_text())
    for cell in released["cells"]:
        cell["source"] = "".join(cell["source"])
    own = similarity.own_text("a", released, released)
    assert (own.code, own.answer, own.cells) == ("", "", ())


def test_the_same_essay_is_found_and_another_is_not():
    essay = (
        "The weights are shared over time, so their number does not depend on T; the price is one state of H numbers."
    )
    other = (
        "Each step applies one and the same map, whatever the length. What it pays: all it knows must fit in the state."
    )
    pairs = similarity.same_answers([essay, other, essay.replace(",", "").upper() + " Yes."])
    assert [(pair.first, pair.second) for pair in pairs] == [(0, 2)]


def test_a_function_taken_from_the_library_is_found_and_honest_work_is_not(strangers):
    source = (LIBRARY / "cells/rnn.py").read_text()
    taken = "def step_backward(" + source.split("def step_backward(")[1].split("\n\n\n")[0]
    honest = ["def all_of_it(x, h, W_ih, W_hh, b_ih, b_hh, h0, hs, W, b):\n" + text for text in strangers[:100]]
    found = similarity.like_the_library([(taken,), *((text,) for text in honest)], LIBRARY)
    assert [(one.place, one.function) for one in found] == [(0, "rnnlib/cells/rnn.py: step_backward")]


def test_text_that_is_no_program_is_compared_all_the_same(strangers):
    broken = strangers[0] + "\n    if (\n"
    assert (0, 1) in flagged([broken, broken])
    similarity.like_the_library([(broken,)], LIBRARY)
