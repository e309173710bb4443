"""Lesson 00: what its explorer shows is true over its whole range, and what its text claims holds."""

import contextlib
import io
import json
import pathlib
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlib import environment
from rnnlib.viz.basics import first_look

REPOSITORY = pathlib.Path(__file__).parents[2]
NOTEBOOK = REPOSITORY / "notebooks" / "00_start_here.ipynb"

# ---- the explorer

letters = st.characters(exclude_categories=["Cs"])
texts = st.text(letters, min_size=1, max_size=32)
sliders = {name: first_look.explorer().controls[name] for name in ("memory", "letters")}


@given(texts, st.floats(0, 1.5))
def test_the_network_is_the_formula_of_the_lesson(text, memory):
    states, _ = first_look.read(text, memory)
    W_ih, W_hh = first_look.weights(memory)
    h = np.zeros(first_look.UNITS)
    for letter, state in zip(text, states, strict=True):
        h = np.tanh(W_ih @ first_look.letter_vector(letter) + W_hh @ h)
        np.testing.assert_allclose(state, h, atol=1e-12)


@given(texts, st.floats(0, 1.5))
def test_the_late_reader_is_the_network_on_the_rest_of_the_text(text, memory):
    _, late = first_look.read("#" + text, memory)
    assert not late[0].any()
    np.testing.assert_allclose(late[1:], first_look.read(text, memory)[0], atol=1e-12)


def test_without_memory_the_first_letter_is_gone_at_the_second():
    assert first_look.remaining("hello", 0.0).tolist() == [1, 0, 0, 0, 0]
    assert first_look.half_gone("hello", 0.0) == 2


@given(texts, st.floats(0.01, 1))
def test_up_to_memory_one_no_step_keeps_more_than_memory_times_the_difference(text, memory):
    remains = first_look.remaining(text, memory)
    assert (remains[1:] <= memory * remains[:-1] + 1e-12).all()


@given(texts)
def test_at_memory_one_the_first_letter_still_fades_at_every_step(text):
    assert (np.diff(first_look.remaining(text, 1.0)) < 0).all()


def test_above_memory_one_the_difference_may_grow_or_fade():
    assert np.diff(first_look.remaining(first_look.TEXT, 1.5)).max() > 0
    assert first_look.half_gone(first_look.TEXT, 1.5) is None
    assert first_look.half_gone(first_look.TEXT, 1.2) is not None


@given(texts)
def test_half_gone_is_the_first_letter_after_which_less_than_half_remains(text):
    remains, half = first_look.remaining(text, 0.9), first_look.half_gone(text, 0.9)
    expected = [count for count, share in enumerate(remains, start=1) if share < 0.5]
    assert half == (expected[0] if expected else None)


def test_the_recurrent_weights_stretch_every_direction_by_memory():
    np.testing.assert_allclose(np.linalg.svd(first_look.weights(0.7)[1], compute_uv=False), 0.7)


def test_a_letter_has_the_same_numbers_whenever_it_comes_and_others_have_others():
    vectors = [first_look.letter_vector(letter) for letter in "abAé 你🙂"]
    assert (first_look.letter_vector("a") == vectors[0]).all()
    assert len({tuple(vector) for vector in vectors}) == len(vectors)


@settings(deadline=None)
@given(st.one_of(st.just(""), texts), st.integers(1, 32), st.integers(0, 30))
def test_the_explorer_draws_over_its_whole_range(text, count, twentieths):
    scene = first_look.draw(text, count, twentieths / 20)
    spec, _ = scene.to_wire()
    json.dumps(spec, allow_nan=False)
    if text:
        seen = min(count, len(text))
        state, trace, curve = scene.panels
        for panel in (state, trace):
            assert np.isfinite(panel.marks[0].matrix[:, :seen]).all()
            assert np.isnan(panel.marks[0].matrix[:, seen:]).all(), "a letter that was not read has no state"
        assert curve.marks[0].y.max() <= curve.y_limits[1]
        assert f"({seen} of {len(text)} letters)" in scene.alt


@pytest.mark.parametrize("name", sliders)
def test_every_position_of_a_slider_gives_another_picture(name):
    explorer, slider, seen = first_look.explorer(), sliders[name], set()
    positions = np.arange(slider.minimum, slider.maximum + slider.step / 2, slider.step)
    for position in positions:
        seen.add(explorer.set(**{name: position.item()}).to_wire()[1])
    assert len(seen) == len(positions)


def test_the_caption_says_the_number_that_the_picture_shows():
    scene = first_look.draw("hello", 3, 1.0)
    said = f"{first_look.remaining('hello', 1.0)[2]:.1%}"
    assert said in scene.alt
    assert said in scene.panels[2].title
    assert "less than 0.1%" in first_look.draw(first_look.TEXT, 32, 0.5).alt


def test_a_difference_that_has_grown_is_called_so():
    remains = first_look.remaining(first_look.TEXT, 1.5)
    for count, share in enumerate(remains, start=1):
        assert ("has grown" in first_look.draw(first_look.TEXT, count, 1.5).alt) == (share > 1)
    assert remains.max() > 1


def test_typing_a_text_reads_all_of_it_and_the_slider_ends_there():
    explorer = first_look.explorer()
    assert "(3 of 3 letters)" in explorer.set(text="Ada").alt
    assert explorer.values["letters"] == 3
    assert "(2 of 3 letters)" in explorer.set(letters=2).alt
    assert "(9 of 9 letters)" in explorer.set(text="Alexander").alt


@pytest.mark.parametrize(("name", "memory"), [("Ada", 0.35), ("Alexander", 0.9)])
def test_the_names_of_the_lesson_keep_about_a_tenth(name, memory):
    assert first_look.remaining(name, memory)[-1] == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("text", ["", "x", "$a$ \\frac", "hello"])
def test_the_picture_is_drawn_without_a_kernel_too(text):
    explorer = first_look.explorer()
    explorer.set(text=text)
    assert explorer.png().startswith(b"\x89PNG")


# ---- the environment check


def test_looking_at_the_environment_imports_no_torch():
    code = "import sys; from rnnlib.environment import survey; print(survey()); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


def test_what_is_missing_is_named_with_what_it_means(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda package: "2.4" if package == "numpy" else "")
    monkeypatch.setattr(environment, "gpu_name", lambda: pytest.fail("without torch nobody asks for a GPU"))
    found = {finding.name: finding for finding in environment.survey().findings}
    assert found["numpy"].found == "2.4"
    assert not found["torch"].found
    assert "rnn-notebooks[torch]" in found["torch"].meaning
    assert "check() works without it" in found["nbgrader"].meaning
    assert "not looked for" in found["GPU"].meaning
    assert "not here" in repr(environment.survey())
    assert "<em>not here</em>" in environment.survey()._repr_html_()


@pytest.mark.parametrize(
    ("torch", "gpu", "said"),
    [
        ("2.13.0", "NVIDIA H100", "will use it"),
        ("2.13.0+cpu", "NVIDIA H100", "without GPU support"),
        ("2.13.0", "", "every lesson runs without one"),
    ],
)
def test_a_gpu_is_reported_with_what_torch_can_do_with_it(monkeypatch, torch, gpu, said):
    monkeypatch.setattr(environment, "version", lambda _package: torch)
    monkeypatch.setattr(environment, "gpu_name", lambda: gpu)
    finding = environment.survey().findings[-1]
    assert (finding.name, finding.found) == ("GPU", gpu)
    assert said in finding.meaning


@pytest.mark.parametrize(
    ("script", "name"),
    [
        (
            "echo 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1b2c)'; echo 'GPU 1: other (UUID: GPU-3)'",
            "NVIDIA H100 80GB HBM3",
        ),
        ("echo 'NVIDIA-SMI has failed'; exit 9", ""),
        ("echo 'No devices found.'", ""),
    ],
)
def test_the_gpu_is_named_without_its_serial_number(monkeypatch, tmp_path, script, name):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setattr(environment.platform, "system", lambda: "Linux")
    monkeypatch.setattr(environment.shutil, "which", lambda _tool: str(tool))
    assert environment.gpu_name() == name


# ---- what the notebook says


@pytest.fixture(scope="module")
def sources():
    """The notebook's cells by their ids."""
    return {cell.id: cell.source for cell in nbformat.read(NOTEBOOK, 4).cells}


def test_the_map_names_every_lesson_and_problem_set(sources):
    numbers = {*map(int, re.findall(r"(?<![\w/])(\d\d) \w", sources["map"]))}
    assert numbers == set(range(26))
    assert {*re.findall(r"(?<!/)\bps\d\b", sources["map"])} == {f"ps{k}" for k in range(1, 10)}


def test_the_map_links_everything_that_exists_and_nothing_else(sources):
    linked = {target for target in re.findall(r"\]\((.*?)\)", sources["map"]) if not target.startswith("https:")}
    lessons = {path.name for path in NOTEBOOK.parent.glob("[0-9][0-9]_*.ipynb")} - {NOTEBOOK.name}
    sets = {path.stem for path in (REPOSITORY / "autograder/course/source").glob("ps*/ps*.ipynb")}
    assert linked == lessons | {f"../autograder/course/release/{name}/{name}.ipynb" for name in sets}


def states_printed(source):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(source, {})
    return [line.split(" ", 1) for line in printed.getvalue().splitlines()]


def test_the_network_in_ten_lines_has_ten_lines(sources):
    assert len([line for line in sources["ten_lines"].splitlines() if line.strip()]) <= 10


def test_the_two_ls_of_hello_leave_different_states_unless_the_recurrent_weights_are_zero(sources):
    (_, first), (_, second) = states_printed(sources["ten_lines"])[2:4]
    assert first != second
    without = sources["ten_lines"].replace("W_hh @ h)", "0 * W_hh @ h)")
    (_, first), (_, second) = states_printed(without)[2:4]
    assert first == second


def test_the_check_names_the_mistake_and_the_repair_earns_every_point(sources):
    given_cell, wrong, right = "import numpy as np\n" + sources["check_wrong"], "h @ W_hh +", "h @ W_hh.T +"
    for source in (given_cell, "import numpy as np\nfrom autograder.check import check\n" + sources["check_yours"]):
        verdict = run_to_the_end(source)
        assert verdict.diagnosis.bugs == ("recurrent_weights_not_transposed",)
        verdict = run_to_the_end(source.replace(wrong, right))
        assert verdict.points == verdict.max_points


def run_to_the_end(source):
    """Run a cell; the value of its last line."""
    *before, last = source.strip().splitlines()
    names = {}
    exec("\n".join(before), names)
    return eval(last, names)
