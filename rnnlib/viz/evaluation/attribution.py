"""What each base of a sequence is said to matter, by several methods, beside the motif that was planted.

The methods stand in the lesson; here their maps are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnlib.data.synthetic import BASES
from rnnlib.viz import Bars, Choice, Explorer, Line, Panel, Scene, Slider
from rnnlib.viz.scene import Mark

MOTIF = 6  # bases of it


def planted(T: int, starts: np.ndarray) -> np.ndarray:
    """Where the motif is: (T, N) of bool, nowhere for a start of -1.

    Args:
        T: bases of a sequence.
        starts: (N,).
    """
    t = np.arange(T)[:, None]
    return (t >= starts) & (t < starts + MOTIF) & (starts >= 0)


def hits(importance: np.ndarray, starts: np.ndarray) -> float:
    """Of the six bases that a map holds most important, the share that lies in the motif; by chance 6 / T.

    Args:
        importance: (T, N).
        starts: (N,), a motif in each.
    """
    first = np.argsort(-importance, axis=0, kind="stable")[:MOTIF]
    return float(np.take_along_axis(planted(len(importance), starts), first, axis=0).mean())


def explorer(
    ids: np.ndarray, starts: np.ndarray, maps: Mapping[str, np.ndarray], probabilities: np.ndarray
) -> Explorer:
    """Choose a sequence and two methods.

    Args:
        ids: (T, N).
        starts: (N,), -1 where no motif was planted.
        maps: by method, (T, N) in units of its own.
        probabilities: (N,), of a motif, as the network says.
    """
    names = list(maps)

    def draw(n: int, above: str, below: str) -> Scene:
        chosen = {name: maps[name][:, n - 1] for name in dict.fromkeys((above, below))}
        return one(ids[:, n - 1], int(starts[n - 1]), chosen, float(probabilities[n - 1]))

    return Explorer(
        draw,
        Slider("n", "sequence", 1, ids.shape[1], 1, value=1),
        Choice("above", "above", names, names[0]),
        Choice("below", "below", names, names[-1]),
        title="What did it look at?",
        description="Orange: the planted motif, the true cause. Which method finds it, and where does it not?",
    )


def one(ids: np.ndarray, start: int, maps: Mapping[str, np.ndarray], probability: float) -> Scene:
    """One sequence, a panel for each method, the motif's bars in orange.

    Args:
        ids: (T,).
        start: of the motif, or -1.
        maps: by method, (T,).
        probability: of a motif, as the network says.
    """
    cause = planted(len(ids), np.array([start]))[:, 0]
    panels = [_map(name, values, ids, cause) for name, values in maps.items()]
    truth = f"a motif at {start + 1} to {start + MOTIF}" if start >= 0 else "no motif"
    found = ", ".join(
        f"{name} {hits(v[:, None], np.array([start])):.0%}".replace("%", " %") for name, v in maps.items()
    )
    said = f" Of each method's first six, in the motif: {found}." if start >= 0 else ""
    letters = "".join(BASES[i] for i in ids)
    return Scene(panels, alt=f"{letters}: {truth}; the network says {100 * probability:.0f} %.{said}")


def _map(name: str, values: np.ndarray, ids: np.ndarray, cause: np.ndarray) -> Panel:
    places = np.arange(len(ids))
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    room = 0.08 * (high - low or 1.0)
    marks: list[Mark] = [Bars(places, np.where(cause, 0, values), "elsewhere", "sky")]
    if cause.any():
        marks.append(Bars(places, np.where(cause, values, 0), "in the motif", "orange"))
    marks.append(Line([-0.5, len(ids) - 0.5], [0, 0], color="grey"))
    return Panel(
        marks, name, "base", "evidence (nats)", (-0.6, len(ids) - 0.4), (low - room, high + room),
        x_names=[BASES[i] for i in ids], height=215,
    )  # fmt: skip


def by_place(maps: Mapping[str, np.ndarray], title: str, y_label: str) -> Scene:
    """The mean of maps over many sequences, place by place, each divided by its own mean.

    Args:
        maps: by name, (T, N), not negative.
        title, y_label: of the picture.
    """
    means = {name: of.mean(axis=1) / of.mean() for name, of in maps.items()}
    T = len(next(iter(means.values())))
    marks: list[Mark] = [Line(np.arange(1, T + 1), of, name) for name, of in means.items()]
    said = "; ".join(f"{name} {of[0]:.1f} at the first base, {of[-1]:.1f} at the last" for name, of in means.items())
    top = 1.1 * max(float(of.max()) for of in means.values())
    return Scene(
        [Panel(marks, title, "place (base)", y_label, y_limits=(0, top), height=250)],
        alt=f"{title}: {said}.",
    )
