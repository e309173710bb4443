"""A model out of steps is their bodies, one after the other; and a mistake edits it as any other."""

import numpy as np
import pytest

from autograder.model import edited, joined


def doubled(x):
    y = 2 * x
    return y


def shifted(y, by):
    z = y + by
    return z


def test_the_steps_follow_each_other_and_what_is_asked_for_comes_back():
    model = joined(("x", "by"), (doubled, shifted), ("y", "z - 1"))
    assert model(np.array(3.0), 4) == (6, 9)


def test_one_output_is_still_a_tuple():
    assert joined(("x",), (doubled,), ("y",))(5) == (10,)


def test_a_mistake_in_one_step_is_carried_on_by_the_next():
    model = joined(("x", "by"), (doubled, shifted), ("y", "z"))
    assert edited(model, (("2 * x", "3 * x"),))(1, 1) == (3, 4)


def test_a_step_that_takes_what_nobody_made_is_refused():
    with pytest.raises(ValueError, match="shifted takes y, which no step before it gives"):
        joined(("x", "by"), (shifted, doubled), ("z",))


@pytest.mark.parametrize("find", ["y", "w = 1"])
def test_an_edit_of_a_text_that_stands_there_twice_or_never_is_refused(find):
    model = joined(("x", "by"), (doubled, shifted), ("y", "z"))
    with pytest.raises(ValueError, match="times"):
        edited(model, ((find, "0"),))
