"""An explorer in JupyterLab, in Chromium, moved by keyboard."""

import pytest

pytestmark = pytest.mark.browser

CELL = """
import time
import numpy as np
from rnnlib import viz

def draw(w, unit, text):
    time.sleep({"slow": 0.6, "stuck": 4.0}.get(text, 0.0))
    if w > 1.5:
        raise ValueError(f"w = {w} explodes")
    t = np.arange(20)
    panel = viz.Panel([viz.Line(t, w ** t, label=unit + text)], x_label="time (steps)", y_limits=(0, 2))
    return viz.Scene([panel, viz.Panel([viz.Heatmap(np.outer(np.sin(t), w ** t), label="h", limits=(-1, 1))])],
                     alt=f"w is {w}, {unit}, {text}")

explorer = viz.Explorer(draw, viz.Slider("w", "weight", 0.0, 2.0, 0.1, 0.9, unit="per step", steps_per_second=8),
                        viz.Choice("unit", "unit", ["linear", "tanh"], "linear"), viz.Text("text", "a word", "yes"),
                        title="Memory of one unit")
explorer
"""


@pytest.fixture(scope="module")
def notebook(lab):
    """The cell above, run; one page for all tests of this module, whose console must stay clean to the end."""
    lab.write("explorer.ipynb", CELL)
    with lab.open("explorer.ipynb") as notebook:
        notebook.run_all()
        notebook.page.wait_for_selector("canvas[data-drawn]")
        yield notebook


@pytest.fixture
def slider(notebook):
    """The slider, moved back to 0.9."""
    slider = notebook.page.get_by_role("slider", name="weight")
    if slider.input_value() != "0.9":
        slider.fill("0.9")
    notebook.page.wait_for_function(
        "() => document.querySelector('.rnn-explorer .alt').textContent.startsWith('w is 0.9')"
    )
    return slider


def picture(notebook):
    return notebook.page.evaluate("() => document.querySelector('.rnn-explorer canvas').toDataURL()")


def wait_for_caption(notebook, part):
    notebook.page.wait_for_function(
        "part => document.querySelector('.rnn-explorer .alt').textContent.includes(part)", arg=part, timeout=10_000
    )


def test_an_arrow_key_changes_the_picture_the_readout_and_the_caption(notebook, slider):
    before = picture(notebook)
    slider.press("ArrowRight")
    wait_for_caption(notebook, "w is 1.0")
    assert picture(notebook) != before
    assert slider.get_attribute("aria-valuetext") == "1.0 per step"
    assert notebook.page.locator(".rnn-explorer output").inner_text() == "1.0 per step"


def test_the_picture_has_a_role_a_name_and_a_description(notebook):
    canvas = notebook.page.get_by_role("img", name="Memory of one unit")
    caption = notebook.page.locator(f"#{canvas.get_attribute('aria-describedby')}")
    assert caption.get_attribute("aria-live") == "polite"
    assert caption.inner_text().startswith("w is")


def test_every_control_is_reached_by_tab_and_its_focus_is_seen(notebook, slider):
    slider.focus()
    names = []
    for _ in range(4):
        names.append(notebook.page.evaluate("() => document.activeElement.tagName"))
        outline = notebook.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        notebook.page.keyboard.press("Tab")
        assert outline == "solid" or names == ["INPUT"], "focus is not visible"
    assert names == ["INPUT", "BUTTON", "SELECT", "INPUT"]


def test_a_choice_and_typed_text_reach_draw(notebook, slider):
    notebook.page.get_by_role("combobox", name="unit").select_option("tanh")
    wait_for_caption(notebook, "tanh")
    notebook.page.get_by_role("textbox", name="a word").fill("perhaps")
    wait_for_caption(notebook, "tanh, perhaps")


def test_an_exception_in_draw_is_shown_and_the_next_good_value_clears_it(notebook, slider):
    slider.fill("1.6")
    alarm = notebook.page.locator(".rnn-explorer [role=alert]")
    notebook.page.wait_for_function("() => document.querySelector('.rnn-explorer [role=alert]').textContent")
    assert alarm.inner_text() == "ValueError: w = 1.6 explodes"
    slider.fill("1.2")
    wait_for_caption(notebook, "w is 1.2")
    assert alarm.inner_text() == ""


def test_play_moves_the_slider_until_it_is_stopped(notebook, slider):
    button = notebook.page.get_by_role("button", name="play weight")
    button.click()
    notebook.page.wait_for_function("slider => Number(slider.value) >= 1.1", arg=slider.element_handle())
    button.click()
    stopped = slider.input_value()
    assert button.get_attribute("aria-pressed") == "false"
    notebook.page.wait_for_timeout(400)
    assert slider.input_value() == stopped


def test_a_slow_draw_skips_to_the_newest_value(notebook, slider):
    notebook.page.get_by_role("textbox", name="a word").fill("slow")
    wait_for_caption(notebook, "slow")
    drawn = "() => Number(document.querySelector('.rnn-explorer canvas').dataset.drawn)"
    before = notebook.page.evaluate(drawn)
    for _ in range(5):
        slider.press("ArrowRight")
    wait_for_caption(notebook, "w is 1.4")
    assert notebook.page.evaluate(drawn) - before <= 3


def test_a_kernel_that_does_not_answer_is_named_until_it_does(notebook, slider):
    message = notebook.page.get_by_role("status").filter(has_text="The kernel does not answer")
    notebook.page.get_by_role("textbox", name="a word").fill("stuck")
    message.wait_for(timeout=10_000)
    wait_for_caption(notebook, "stuck")
    assert not message.is_visible()
    notebook.page.get_by_role("textbox", name="a word").fill("free")


def test_a_narrow_page_makes_the_picture_narrow_not_cut(notebook):
    wide = notebook.page.locator(".rnn-explorer canvas").bounding_box()["width"]
    notebook.page.set_viewport_size({"width": 760, "height": 900})
    notebook.page.wait_for_timeout(500)
    box = notebook.page.locator(".rnn-explorer canvas").bounding_box()
    pixels = notebook.page.evaluate("() => document.querySelector('.rnn-explorer canvas').width")
    assert box["width"] < wide
    assert pixels == pytest.approx(box["width"], abs=1)
