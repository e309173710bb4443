"""Two models on the same test examples, over and over: the interval of each test, and how often it names a winner.

Only the examples on which the two disagree count: a difference of d needs a disagreement of at least d.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from rnnlib.viz import Dots, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

TESTS, SHOWN, RESAMPLES = 400, 50, 300
SIZES = np.unique(np.geomspace(50, 20_000, 40).astype(int))


class Tests(NamedTuple):
    """Attributes: difference, low, high: (n,), the accuracy of B minus that of A in each test and its interval."""

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray


def play(examples: int, difference: float, disagree: float, tests: int, rng: np.random.Generator) -> Tests:
    """Test two models with a known true difference, each time on new examples.

    Args:
        examples: in each test.
        difference: how much more often B is right, from 0 to 1.
        disagree: the share of examples that only one of the two gets right; at least the difference.
        tests: how many.
        rng: draws the examples, and the bootstrap's.

    Returns:
        Tests, with the paired bootstrap's 95 % interval. It draws from the counts of the three outcomes (only B right,
        only A right, no difference), which is the same as drawing examples.

    Raises:
        ValueError: the two differ more often than they disagree.
    """
    if not 0 <= difference <= disagree <= 1:
        raise ValueError(
            f"difference is {difference} and disagree {disagree}: expected 0 <= difference <= disagree <= 1"
        )
    only_b, only_a = (disagree + difference) / 2, (disagree - difference) / 2
    seen = rng.multinomial(examples, [only_b, only_a, 1 - only_b - only_a], tests)
    drawn = rng.multinomial(examples, seen / examples, (RESAMPLES, tests))
    low, high = np.quantile((drawn[..., 0] - drawn[..., 1]) / examples, [0.025, 0.975], axis=0)
    return Tests((seen[:, 0] - seen[:, 1]) / examples, low, high)


def power(examples: np.ndarray, difference: float, disagree: float) -> np.ndarray:
    """How often such an interval lies above 0, by the normal approximation.

    Args:
        examples: (n,) test sizes.
        difference, disagree: as in `play`.
    """
    spread = np.sqrt(max(disagree - difference**2, 1e-12) / np.asarray(examples))
    return np.array([0.5 * (1 + math.erf(z / math.sqrt(2))) for z in difference / spread - 1.96])


def explorer() -> Explorer:
    """Choose the size of the test and the true difference; at a difference of 0 it is an A/A test."""
    return Explorer(
        at,
        Slider("examples", "test examples", 100, 10_000, 100, value=500),
        Slider("difference", "true difference", 0.0, 5.0, 0.5, value=2.0, unit="points"),
        Slider("disagree", "they disagree on", 5, 30, 1, value=10, unit="%"),
        title="Is B better?",
        description="Find a test size that sees 2 points in four tests of five. Then set the difference to 0.",
    )


@functools.lru_cache(64)
def at(examples: int, difference: float, disagree: int) -> Scene:
    """Fifty tests with their intervals, and the share of tests that find B better at every size.

    Args:
        examples: in each test.
        difference: in points of accuracy.
        disagree: in percent of examples.
    """
    share, apart = difference / 100, disagree / 100
    tests = play(examples, share, apart, TESTS, np.random.default_rng(0))
    better, worse = tests.low > 0, tests.high < 0
    wins, losses = 100 * better.mean(), 100 * worse.mean()
    said = (
        f"An A/A test: {wins + losses:.0f} % name a winner, and there is none."
        if difference == 0
        else f"{wins:.0f} % call B better, {losses:.0f} % call A better, the others cannot say."
    )
    return Scene(
        [_intervals(tests, difference, said), _power(examples, share, apart, wins)],
        alt=f"{TESTS} tests of {examples} examples, true difference {difference:.1f} points, they disagree on "
        f"{disagree} %. "
        f"{said} The usual interval is {100 * np.median(tests.high - tests.low):.1f} points wide.",
        columns=2,
    )


def _intervals(tests: Tests, difference: float, said: str) -> Panel:
    marks: list[Mark] = [Line([0, 0], [-1, SHOWN], "", "ink")]
    marks.append(Line([difference] * 2, [-1, SHOWN], "the truth", "green", dashed=True))
    low, high, middle = (100 * each[:SHOWN] for each in (tests.low, tests.high, tests.difference))
    named = set()
    for row in range(SHOWN):
        color, name = ("blue", "B better") if low[row] > 0 else ("vermillion", "A better")
        if low[row] <= 0 <= high[row]:
            color, name = "grey", "cannot say"
        marks.append(Line([low[row], high[row]], [row, row], "" if name in named else name, color))
        marks.append(Dots(middle[row : row + 1], [row], "", color, 3))
        named.add(name)
    return Panel(
        marks, f"{SHOWN} of the tests", "B minus A (points of accuracy)", "test", (-8, 12), (-1, SHOWN), height=340
    )


def _power(examples: int, share: float, apart: float, wins: float) -> Panel:
    curve = 100 * power(SIZES, share, apart)
    marks: list[Mark] = [
        Line([SIZES[0], SIZES[-1]], [80, 80], "four of five", "grey", dashed=True),
        Line(SIZES, curve, "by the formula", "blue"),
        Dots([examples], [wins], f"these {TESTS} tests", "vermillion", 9),
    ]
    return Panel(
        marks, "How often B is called better", "test examples", "of all tests (%)", (SIZES[0], SIZES[-1]), (0, 102),
        x_scale="log", height=340,
    )  # fmt: skip
