"""Answers travel as numbers; whatever else arrives is named or refused, never executed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from autograder import wire

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["kind", "dtype", "shape", "data", "items"]), inner)
    ),
)


@given(
    hnp.arrays(st.sampled_from(["f4", "f8", "i8", "b1", "c16"]), hnp.array_shapes(min_dims=0)),
    st.sampled_from(wire.LAYOUTS),
)
def test_an_array_arrives_as_it_left_whatever_its_layout(array, layout):
    arrived = wire.decode(wire.encode(array, layout))
    assert arrived.dtype == array.dtype
    assert arrived.shape == array.shape
    np.testing.assert_array_equal(arrived, array)


def test_layouts_are_what_they_say():
    array = np.arange(12.0).reshape(3, 4)
    assert wire.decode(wire.encode(array, "C")).flags.c_contiguous
    assert wire.decode(wire.encode(array, "F")).flags.f_contiguous
    strided = wire.decode(wire.encode(array, "strided"))
    assert not strided.flags.c_contiguous
    assert not strided.flags.f_contiguous


@pytest.mark.parametrize("value", ["text", object(), {1: 2}, np.array([object()]), np.array(["a"]), lambda: 0])
def test_what_is_not_numbers_is_named_not_carried(value):
    assert isinstance(wire.decode(wire.encode(value)), wire.Refused)


def test_an_array_subclass_arrives_as_a_plain_array():
    class Yes(np.ndarray):
        def __eq__(self, other):
            return True

    assert type(wire.decode(wire.encode(np.zeros(3).view(Yes)))) is np.ndarray


@given(json_values)
def test_forged_messages_are_refused_or_harmless(message):
    try:
        value = wire.decode(message)
    except wire.WireError:
        return
    assert value is None or isinstance(value, (np.ndarray, tuple, wire.Refused))


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "|O"},
        {"dtype": "<f8\x00"},
        {"shape": [10**6, 10**6, 10**6]},
        {"shape": [-1]},
        {"shape": [True]},
        {"data": "not base64!"},
        {"data": ""},
        {"shape": [2**23, 2**23, 2**23, 0], "data": ""},
        {"layout": "pickle"},
        {"kind": "pickle"},
    ],
)
def test_a_damaged_array_is_refused(change):
    with pytest.raises(wire.WireError):
        wire.decode(wire.encode(np.ones(3)) | change)


def test_a_huge_array_is_named_instead_of_sent():
    assert "larger than" in wire.encode(np.zeros(wire.MAX_BYTES // 8 + 1))["type"]
