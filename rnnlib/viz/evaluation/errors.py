"""Where a model errs: class against class, and by the length of the sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.viz import Box, Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark


def confusion(matrix: np.ndarray, names: Sequence[str], title: str) -> Scene:
    """A confusion matrix: rows are the truth, each of them adds up to 100 %; the counts stand in the cells.

    Args:
        matrix: (C, C), from `rnnlib.metrics.confusion_matrix`.
        names: of the classes.
        title: of the picture.
    """
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    right = np.eye(len(matrix), dtype=bool)
    shade = np.where(right, -share, share) / 100
    C = len(matrix)
    marks: list[Mark] = [
        Box(j, C - 1 - i, str(int(matrix[i, j])) if matrix[i, j] else "", float(shade[i, j]), 1.0, 1.0, 1.4, "grey")
        for i in range(C)
        for j in range(C)
    ]
    wrong = np.where(right, 0, matrix)
    i, j = divmod(int(wrong.argmax()), len(wrong))
    return Scene(
        [Panel(marks, title, "taken for", "truth", x_names=list(names), y_names=list(names)[::-1], height=360)],
        alt=f"{title}. {int(np.trace(matrix))} of {int(matrix.sum())} right (blue); the commonest mistake (orange): "
        f"{names[i]} taken for {names[j]}, {int(wrong[i, j])} times.",
    )


def share_interval(k: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share: k of n.

    Reference:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z2 = 1.96**2
    # (k + z²/2 ± z √(k (n - k) / n + z²/4)) / (n + z²)
    half = 1.96 * np.sqrt(k * (n - k) / n + z2 / 4)
    middle = k + z2 / 2
    return float((middle - half) / (n + z2)), float((middle + half) / (n + z2))


def by_group(groups: Mapping[str, tuple[int, int]], title: str, x_label: str, y_label: str) -> Scene:
    """A share for each group with its interval: the profile of a model.

    Args:
        groups: by name, how many of how many.
        title, x_label, y_label: of the picture.
    """
    marks: list[Mark] = []
    for x, (k, n) in enumerate(groups.values()):
        low, high = share_interval(k, n)
        marks += [Line([x, x], [100 * low, 100 * high], color="ink"), Dots([x], [100 * k / n], color="vermillion")]
    said = ", ".join(f"{name}: {k} of {n}" for name, (k, n) in groups.items())
    top = min(102.0, 115 * max(share_interval(k, n)[1] for k, n in groups.values()))
    return Scene(
        [
            Panel(
                marks, title, x_label, y_label, (-0.5, len(groups) - 0.5), (0, top),
                x_names=[f"{name}\n{n}" for name, (_, n) in groups.items()], height=250,
            )
        ],
        alt=f"{title}: {said}.",
    )  # fmt: skip
