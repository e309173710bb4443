"""Problem set 1's picture draws whatever a learner has written, finished or not."""

import numpy as np
import pytest

from rnnlib.cells import rnn
from rnnlib.viz import Heatmap
from rnnlib.viz.unrolling import pulse


def forward(*inputs):
    return rnn.forward(*inputs)[:2]


def states(memory):
    (panel,) = pulse.response(forward, memory).panels
    (heatmap,) = panel.marks
    assert isinstance(heatmap, Heatmap)
    return heatmap.matrix.T


def test_a_pulse_is_unseen_before_it_and_fades_below_one():
    hs = states(0.9)
    assert np.abs(hs[:5]).max() == 0
    assert np.abs(hs[5]).max() > 0.5
    assert np.abs(hs[-1]).max() < 0.1


def test_without_recurrent_weights_it_is_gone_at_once():
    assert np.abs(states(0.0)[6:]).max() == 0


@pytest.mark.parametrize("memory", np.arange(0, 1.51, 0.05))
def test_every_position_of_the_slider_draws(memory):
    assert np.isfinite(states(memory)).all()


def unwritten(*inputs):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "name"),
    [(unwritten, ""), (lambda *inputs: None, "TypeError"), (lambda *inputs: (np.zeros(3), 0), "ValueError")],
)
def test_an_unfinished_function_is_said_so_once_and_stops_nothing(function, name):
    scene = pulse.explorer(function).scene
    assert scene.alt.startswith("Write rnn_forward above, then run this cell again.")
    assert scene.alt.endswith(f"with {name}." if name else "again.")
    assert [type(mark) for mark in scene.panels[0].marks] == [Heatmap]


def test_the_caption_calls_the_slider_by_its_name():
    explorer = pulse.explorer(forward)
    assert f"{explorer.controls['memory'].label} 0.9" in explorer.scene.alt.replace("Size", "size")
