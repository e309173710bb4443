"""An Explorer turns the values of its controls into a picture, and never swallows what goes wrong."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

viz = pytest.importorskip("rnnlib.viz", reason="the extra lab is not installed")


def draw(w, steps, cell):
    if w > 1.5:
        raise ValueError(f"w = {w} explodes")
    t = np.arange(steps)
    return viz.Scene([viz.Panel([viz.Line(t, w**t, label=str(cell))])], alt=f"w is {w}, {steps} steps, {cell}")


@pytest.fixture
def explorer():
    return viz.Explorer(
        draw,
        viz.Slider("w", "weight", 0.0, 2.0, 0.05, 0.9),
        viz.Slider("steps", "length", 5, 50, 5, 20, unit="steps"),
        viz.Choice("cell", "cell", [("rnn", 1), ("lstm", 4)], ("rnn", 1)),
    )


def move(explorer, **values):
    """What the browser does when a reader moves a control."""
    explorer._handle_custom_msg({"id": "view:1", "values": values}, [])


def test_the_first_picture_is_there_before_any_browser(explorer):
    assert explorer.scene.alt == "w is 0.9, 20 steps, ('rnn', 1)"
    assert explorer.error is None


def test_set_redraws_and_returns_the_scene(explorer):
    assert explorer.set(w=0.5, cell=("lstm", 4)).alt == "w is 0.5, 20 steps, ('lstm', 4)"
    assert explorer.values == {"w": 0.5, "steps": 20, "cell": ("lstm", 4)}
    assert explorer._picture["values"] == {"w": 0.5, "steps": 20, "cell": 1}


def test_a_move_in_the_browser_reaches_draw_and_is_answered(explorer):
    move(explorer, w=1, steps=25, cell=1)
    assert explorer.scene.alt == "w is 1.0, 25 steps, ('lstm', 4)"
    assert explorer._picture["answers"] == "view:1"
    assert explorer._picture["spec"]["alt"] == explorer.scene.alt


def test_set_raises_what_draw_raises(explorer):
    with pytest.raises(ValueError, match=r"w = 1\.6 explodes"):
        explorer.set(w=1.6)


def test_an_exception_after_a_move_is_kept_shown_and_cleared_by_the_next_picture(explorer):
    move(explorer, w=1.6)
    assert str(explorer.error) == "w = 1.6 explodes"
    assert explorer._picture["error"] == "ValueError: w = 1.6 explodes"
    assert explorer._picture["spec"]["alt"].startswith("w is 0.9"), "the last good picture stays"
    move(explorer, w=1.2)
    assert explorer.error is None
    assert explorer._picture["error"] == ""


def test_a_value_that_no_control_takes_after_a_move_is_shown_too(explorer):
    move(explorer, w=17)
    assert "17" in explorer._picture["error"]
    assert explorer.error is not None


def test_the_first_picture_raises_at_once():
    with pytest.raises(ValueError, match="explodes"):
        viz.Explorer(lambda w: draw(w, 5, ""), viz.Slider("w", "weight", 0.0, 2.0, 0.1, 1.9))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"w": 3.0}, r"w = 3\.0 is no number from 0\.0 to 2\.0"),
        ({"w": "1"}, "no number"),
        ({"cell": "gru"}, "none of"),
        ({"depth": 2}, "no control depth; there is w, steps, cell"),
    ],
)
def test_set_refuses_what_a_control_does_not_take(explorer, values, message):
    with pytest.raises(ValueError, match=message):
        explorer.set(**values)


def test_draw_must_take_one_argument_per_control():
    with pytest.raises(TypeError, match=r"one argument per control, rho"):
        viz.Explorer(lambda w: None, viz.Slider("rho", "radius", 0.0, 2.0, 0.1, 1.0))


def test_draw_must_return_a_scene():
    with pytest.raises(TypeError, match=r"draw returned ndarray: return viz\.Scene"):
        viz.Explorer(lambda: np.zeros(3))


def test_a_slider_of_ints_gives_ints_on_its_steps():
    slider = viz.Slider("steps", "length", 5, 50, 5, 20)
    assert [type(slider.read(v)) for v in (5, 20.0)] == [int, int]
    assert slider.read(21) == 20


def test_a_slider_of_fractions_gives_the_decimal_that_is_shown():
    slider = viz.Slider("w", "weight", 0.0, 2.0, 0.1, 0.9)
    assert slider.read(0.1 + 0.2) == 0.3
    assert slider.face()["decimals"] == 1
    assert isinstance(slider.read(1), float)


def test_typed_text_keeps_to_its_length():
    text = viz.Text("text", "a sentence", "hello", max_length=6)
    assert text.read("") == ""
    with pytest.raises(ValueError, match="at most 6 characters"):
        text.read("goodbye")


def test_a_slider_that_counts_a_text_stays_within_it():
    def letters(text, n):
        return viz.Scene([viz.Panel([viz.Dots([0], [n])])], alt=f"{n} of {len(text)}")

    slider = viz.Slider("n", "letters read", 1, 10, 1, 5, counts="text")
    explorer = viz.Explorer(letters, slider, viz.Text("text", "text", "hello", max_length=20))
    assert explorer.set(text="hi").alt == "2 of 2"
    assert explorer.set(n=7).alt == "2 of 2"
    assert explorer.set(text="hello", n=3).alt == "3 of 5"
    assert explorer.set(text="").alt == "1 of 0"
    assert explorer.set(text="hello again you").alt == "10 of 15"
    move(explorer, text="hello", n=4)
    assert explorer.scene.alt == "4 of 5"
    assert explorer._picture["values"] == {"text": "hello", "n": 4}


def test_a_page_without_a_kernel_gets_the_picture_and_its_text(explorer):
    data, metadata = explorer._repr_mimebundle_()
    assert set(data) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert data["text/plain"] == explorer.scene.alt == metadata["image/png"]["alt"]


def test_the_browser_part_asks_for_nothing_from_the_network(explorer):
    module = str(explorer._esm) + str(explorer._css)
    assert "export default" in module
    for call in ("http:", "https:", "fetch(", "import ", "import(", "@import", "url("):
        assert call not in module


def test_the_example_in_the_docstring_draws():
    example = textwrap.dedent(viz.__doc__.split("call it:\n")[1].split("\nControls ")[0])
    names = {}
    exec(example, names)
    assert names["memory"](0.9, 20).alt == "After 20 steps, 0.12 of the first state is left."


def run(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def test_importing_rnnlib_does_not_import_its_pictures():
    assert (
        run("import rnnlib, sys; assert not {'rnnlib.viz', 'anywidget', 'matplotlib'} & set(sys.modules)").returncode
        == 0
    )


def test_pictures_load_no_matplotlib_before_one_is_asked_for():
    assert run("import rnnlib.viz, sys; assert 'matplotlib' not in sys.modules").returncode == 0


def test_without_anywidget_the_error_names_the_extra():
    result = run("import sys; sys.modules['anywidget'] = None; import rnnlib.viz")
    assert (
        'ImportError: rnnlib.viz draws with anywidget and matplotlib: pip install "rnn-notebooks[lab]"' in result.stderr
    )
