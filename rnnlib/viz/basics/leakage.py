"""The pictures and the explorer of lesson 02 about splits: one model, judged by a random split and by an honest one.

Training data is blue, test data vermillion, what is left out grey, in every picture here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from rnnlib.data.batching import series_windows
from rnnlib.data.splits import by_time
from rnnlib.viz import Bars, Dots, Explorer, Label, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

TRAIN, TEST = "blue", "vermillion"


def nearest(x_train: np.ndarray, y_train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Forecast what came after the most similar window that was trained on.

    Args:
        x_train: (n, T), windows.
        y_train: (n,), what came after each.
        x: (m, T), windows to forecast from.

    Returns:
        (m,).
    """
    # |x - x'|² = |x|² - 2 x x' + |x'|², and |x|² is the same for every x'
    distance = (x_train**2).sum(axis=1) - 2 * x @ x_train.T
    return y_train[distance.argmin(axis=1)]


# ---- plots ---------------------------------------------------------------------------------------------------------


def strips(splits: Mapping[str, tuple[np.ndarray, np.ndarray]], N: int) -> Scene:
    """Which items are trained on and which are tested, a row for each split.

    Args:
        splits: by name, positions of training and of test items.
        N: how many items there are.
    """
    marks: list[Mark] = []
    for y, (name, (train, test)) in enumerate(splits.items()):
        left = np.setdiff1d(np.arange(N), np.concatenate([train, test]))
        said = ("training", "test", "left out") if y == 0 else ("", "", "")
        for items, color, label in zip((train, test, left), (TRAIN, TEST, "grey"), said, strict=True):
            marks.append(Dots(items, np.full(len(items), -y), label, color, 7))
        marks.append(Label(-1.5, -y, name, align="right"))
    panel = Panel(
        marks, axes=False, x_limits=(-0.28 * N, N), y_limits=(-len(splits) + 0.4, 0.6), height=60 + 32 * len(splits)
    )
    told = [
        f"{name}: {len(train)} trained on, {len(test)} tested, {N - len(train) - len(test)} left out"
        for name, (train, test) in splits.items()
    ]
    return Scene([panel], alt=f"{N} items in time order. {'; '.join(told)}.")


def scaled(years: np.ndarray, series: Mapping[str, np.ndarray], cut: int) -> Scene:
    """A series scaled in two ways, with the border between training and test.

    Args:
        years: (T,).
        series: by name, (T,), scaled values.
        cut: the first step of the test data.
    """
    marks: list[Mark] = [
        Line([years[cut]] * 2, [-0.1, 1.9], color="ink", dashed=True),
        Label(years[cut], 1.8, "test from here on ", align="right"),
    ]
    for (name, values), color in zip(series.items(), (TRAIN, TEST), strict=True):
        marks.append(Line(years, values, name, color))
    ends = [
        f"{name}: up to {v[:cut].max():.2f} in training and {v[cut:].max():.2f} later" for name, v in series.items()
    ]
    panel = Panel(marks, x_label="time (years)", y_label="scaled value", y_limits=(-0.1, 1.9), height=270)
    return Scene([panel], alt=f"CO2, scaled. {'; '.join(ends)}.")


def forecasts(
    times: Mapping[str, np.ndarray], truths: Mapping[str, np.ndarray], guesses: Mapping[str, np.ndarray], unit: str
) -> Scene:
    """What a model said and what came, a panel for each split.

    Args:
        times, truths, guesses: by the name of a split, (n,) each, in any order.
        unit: of truths and guesses.
    """
    panels, told = [], []
    seen = np.concatenate([*truths.values(), *guesses.values()])
    limits = float(seen.min()) - 0.3, float(seen.max()) + 0.3
    for name in truths:
        order = np.argsort(times[name])
        t, y, guess = (part[name][order] for part in (times, truths, guesses))
        r = float(np.corrcoef(y, guess)[0, 1])
        panels.append(
            Panel(
                [Dots(t, y, "what came", "ink", 5), Dots(t, guess, "forecast", TEST, 5)],
                f"{name}: correlation {r:.2f}",
                x_label="year",
                y_label=f"next year's mean ({unit})",
                y_limits=limits,
                height=270,
            )
        )
        told.append(f"{name}: correlation {r:.2f} between {len(y)} forecasts and what came")
    return Scene(panels, alt=f"{'; '.join(told)}.", columns=2)


def errors(found: Mapping[tuple[str, str], float], usual: Mapping[str, float], unit: str) -> Scene:
    """The errors of two models under several splits, beside that of the naive forecast.

    Args:
        found: by split and model, the root mean squared error.
        usual: by split, that of the forecast "as usual" on the same test items.
        unit: of the errors.
    """
    plans, models = list(usual), list(dict.fromkeys(model for _, model in found))
    marks: list[Mark] = []
    for x, plan in enumerate(plans):
        said = [*models, "always as usual"] if x == 0 else [""] * 3
        for i, (model, color) in enumerate(zip(models, (TEST, "blue"), strict=True)):
            marks.append(Bars([x - 0.15 + 0.3 * i], [found[plan, model]], said[i], color, 0.26))
        marks.append(Line([x - 0.4, x + 0.4], [usual[plan]] * 2, said[2], "ink", dashed=True))
    panel = Panel(
        marks, y_label=f"error ({unit})", x_names=plans, x_limits=(-0.6, len(plans) - 0.4),
        y_limits=(0, 1.15 * max(*found.values(), *usual.values())), height=270,
    )  # fmt: skip
    told = [f"{p}: {', '.join(f'{m} {found[p, m]:.2f}' for m in models)}, as usual {usual[p]:.2f}" for p in plans]
    return Scene([panel], alt=f"Errors in {unit}. {'; '.join(told)}.")


# ---- the explorer --------------------------------------------------------------------------------------------------

STEPS, WINDOW, SEEDS, SHOWN = 240, 24, 8, 5  # of a made-up series; a window; series tried; the one that is drawn


def explorer() -> Explorer:
    """The same forecaster under a random split and a chronological one, on a series whose limits are known."""
    return Explorer(
        by_split,
        Slider("resemblance", "resemblance", 0.0, 0.99, 0.01, value=0.95),
        Slider("ahead", "forecast ahead", 1, 24, 1, value=12, unit="steps"),
        Slider("share", "test share", 0.1, 0.5, 0.05, value=0.2),
        title="Leakage by split",
        description="Resemblance is the correlation of a step with the next. The green line is the best that any "
        "forecast can do, on average. Find settings where the random split claims to beat it. Then make neighbours "
        "strangers.",
    )


def by_split(resemblance: float, ahead: int, share: float) -> Scene:
    """Forecasts of a made-up series by its most similar window, tested on random items and on the last ones.

    Args:
        resemblance: correlation of a step with the next.
        ahead: how many steps after its window a forecast is for.
        share: of the items, for the test.
    """
    tried = [judged(resemblance, ahead, share, seed) for seed in range(SEEDS)]
    best = best_error(resemblance, ahead)
    panels, means = [], []
    for name in ("random", "chronological"):
        test, _, guess = judged(resemblance, ahead, share, SHOWN)[name]
        panels.append(_drawn(name, made_up(resemblance, SHOWN), test + WINDOW + ahead - 1, guess))
    marks: list[Mark] = [
        Line([-0.5, 1.5], [1, 1], "always the mean", "grey", dashed=True),
        Line([-0.5, 1.5], [best, best], "the best that is possible", "green", dashed=True),
    ]
    for x, name in enumerate(("random", "chronological")):
        found = [_rms(parts[name][1] - parts[name][2]) for parts in tried]
        means.append(float(np.mean(found)))
        marks += [
            Dots(np.full(SEEDS, x), found, f"{SEEDS} series" if x == 0 else "", "sky", 6),
            Line([x - 0.2, x + 0.2], [means[-1]] * 2, "their mean" if x == 0 else "", TEST),
        ]
    claim = "better than possible" if means[0] < best else "not beyond what is possible"
    panels.append(
        Panel(
            marks,
            f"The random split's claim: {claim}",
            y_label="error (1 = spread)",
            x_names=("random split", "chronological split"),
            x_limits=(-0.5, 1.5),
            y_limits=(0, 3.5),
            height=230,
        )
    )
    return Scene(
        panels,
        alt=f"Neighbours resemble each other by {resemblance:g}; forecasts {ahead} steps ahead, {share:.0%} tested. "
        f"Mean error {means[0]:.2f} by a random split and {means[1]:.2f} by a chronological one; no forecast can do "
        f"better than {best:.2f} on average. The random split's claim is {claim}.",
    )


def best_error(resemblance: float, ahead: int) -> float:
    """The error of the best forecast, φ^h times the last value: √(1 - φ^2h) of the spread."""
    return float(np.sqrt(1 - resemblance ** (2 * ahead)))


@functools.lru_cache(maxsize=4096)
def judged(resemblance: float, ahead: int, share: float, seed: int) -> Mapping[str, tuple[np.ndarray, ...]]:
    """One series under both splits: the test items, what came, and the forecasts."""
    windows = series_windows(made_up(resemblance, seed), WINDOW, horizon=ahead)
    x, y = windows.inputs[:, :, 0].T, windows.targets[-1, :, 0]
    return {
        name: (test, y[test], nearest(x[train], y[train], x[test]))
        for name, (train, test) in sides(ahead, share, seed).items()
    }


def sides(ahead: int, share: float, seed: int) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
    """Training and test items of both splits, equally many for the test.

    The chronological one leaves out the training items that would share a step with a test item.
    """
    gap = WINDOW + ahead - 1
    N = STEPS - gap
    tested = round(share * N)
    shuffled = np.random.default_rng(seed).permutation(N)
    train, _, test = by_time(np.arange(N), ((N - tested - gap) / N, gap / N, tested / N))
    return {"random": (shuffled[tested:], np.sort(shuffled[:tested])), "chronological": (train, test)}


@functools.lru_cache(maxsize=2048)
def made_up(resemblance: float, seed: int) -> np.ndarray:
    """A series (STEPS,) of mean 0 and spread 1 in which each step is the one before, times resemblance, and news."""
    news = np.random.default_rng(seed).normal(size=STEPS)
    series = news.copy()
    for t in range(1, STEPS):
        # s_t = φ s_{t-1} + √(1 - φ²) ε_t
        series[t] = resemblance * series[t - 1] + np.sqrt(1 - resemblance**2) * news[t]
    return series


def _drawn(name: str, series: np.ndarray, steps: np.ndarray, guess: np.ndarray) -> Panel:
    """A series, and the forecasts at the steps that were tested."""
    return Panel(
        [Line(np.arange(STEPS), series, "the series", "grey"), Dots(steps, guess, "forecasts of test items", TEST, 5)],
        f"A {name} split", x_label="time (steps)" if name == "chronological" else "", y_label="value",
        x_limits=(0, STEPS), y_limits=(-3, 3), height=190,
    )  # fmt: skip


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt((x**2).mean()))
