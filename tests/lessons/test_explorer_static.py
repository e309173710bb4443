"""The PNG of a Scene, for pages that have no kernel."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest

viz = pytest.importorskip("rnnlib.viz", reason="the extra lab is not installed")
matplotlib = pytest.importorskip("matplotlib", reason="the extra lab is not installed")

STEPS = np.arange(6)


def every_mark():
    rng = np.random.default_rng(0)
    boxes = [viz.Box(i, 0, f"h{i}\n{v:+}", value=v) for i, v in enumerate((-1.0, 0.0, 1.0))]
    return viz.Scene(
        [
            viz.Panel(
                [viz.Heatmap(rng.normal(size=(4, 6)), label="activation", limits=(-1, 1))], x_names=list("abcdef")
            ),
            viz.Panel(
                [
                    viz.Band(STEPS, STEPS + 1, STEPS + 3, label="spread"),
                    viz.Line(STEPS, STEPS + 2, label="mean"),
                    viz.Line(STEPS, STEPS + 2.5, dashed=True, color="grey"),
                    viz.Dots(STEPS, STEPS + 2, label="seed 0"),
                ],
                title="A title that is so long that it must be broken into two lines to fit",
                y_scale="log",
            ),
            viz.Panel([viz.Bars(STEPS, STEPS, label="count"), viz.Label(1, 4, "here", align="left")]),
            viz.Panel([*boxes, viz.Arrow.between(*boxes[:2], label="W_hh")], axes=False),
            viz.Panel([viz.Dots([-1, 1], [-1e7, 1e7])]),
            viz.Panel([viz.Line([0, 1], [0, 1])], equal=True),
        ],
        alt="Every mark there is.",
        columns=2,
    )


def pixels(data):
    from matplotlib.image import imread

    return (imread(io.BytesIO(data), format="png")[..., :3] * 255).round().astype(int)


def test_every_mark_draws_into_a_png_of_the_size_that_is_announced():
    data, metadata = every_mark()._repr_mimebundle_()
    image = pixels(base64.b64decode(data["image/png"]))
    size = metadata["image/png"]
    assert image.shape[:2] == (2 * size["height"], 2 * size["width"])
    assert data["text/plain"] == size["alt"] == "Every mark there is."


def test_the_same_scene_gives_the_same_bytes():
    assert every_mark()._repr_mimebundle_()[0] == every_mark()._repr_mimebundle_()[0]


def test_below_zero_is_blue_and_above_is_orange():
    from rnnlib.viz.static import png

    halves = viz.Heatmap([[-1.0, 1.0]], limits=(-1, 1))
    image = pixels(png(viz.Scene([viz.Panel([halves])], alt="two cells")))
    middle = image[image.shape[0] // 2]
    left, right = middle[len(middle) // 4], middle[3 * len(middle) // 4]
    assert tuple(left) == (0x08, 0x4C, 0x7F)
    assert tuple(right) == (0xA3, 0x47, 0x00)


def test_a_picture_neither_reads_nor_changes_the_readers_matplotlib():
    program = """
import sys
import matplotlib
from rnnlib import viz
scene = viz.Scene([viz.Panel([viz.Line([0, 1], [0, 1])])], alt="a line")
plain = scene._repr_mimebundle_()
assert "matplotlib.pyplot" not in sys.modules
matplotlib.rcParams.update({"lines.linewidth": 9, "axes.facecolor": "black", "font.size": 30})
before = dict(matplotlib.rcParams)
assert scene._repr_mimebundle_() == plain
assert dict(matplotlib.rcParams) == before
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_without_matplotlib_the_error_names_the_extra():
    program = """
import sys
sys.modules["matplotlib"] = None
from rnnlib import viz
viz.Scene([viz.Panel([viz.Line([0, 1], [0, 1])])], alt="a line")._repr_mimebundle_()
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 'ImportError: pictures need matplotlib: pip install "rnn-notebooks[lab]"' in result.stderr
