"""The plots of lesson 14: an n-gram model's order, and what its studies measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnnlib.studies import Results, interval
from rnnlib.studies.language import SIZES
from rnnlib.viz import Band, Dots, Line, Panel, Scene
from rnnlib.viz.scene import Mark


def orders(tried: Sequence[int], discounts: Sequence[float], losses: np.ndarray) -> Scene:
    """Bits per character of validation text, against the order of the n-gram model.

    Args:
        tried: (n,) orders.
        discounts: (m,).
        losses: (n, m) bits.
    """
    i, j = (int(at) for at in np.unravel_index(losses.argmin(), losses.shape))
    marks: list[Mark] = [Line(tried, losses[:, k], f"discount {discount}") for k, discount in enumerate(discounts)]
    marks.append(Dots([tried[i]], [losses[i, j]], "lowest", "ink", size=9))
    return Scene(
        [Panel(marks, "n-gram models on validation text", "order n (characters)", "bits per character", height=260)],
        alt=f"Bits per character fall from {losses[0].min():.2f} at order {tried[0]} to {losses[i, j]:.2f} at order "
        f"{tried[i]} with discount {discounts[j]}; at order {tried[-1]} it is {losses[-1].min():.2f}.",
    )


def sizes(results: Results) -> Scene:
    """Bits per character of unseen text, and the network's lead, against how much text was trained on.

    Args:
        results: of the study `rnnlib.studies.language.sizes`.
    """
    arms = results.arms
    x = np.array([SIZES[arm] for arm in arms], float)
    marks: list[Mark] = []
    said = []
    looks = (("ngram", "n-gram", "vermillion"), ("network", "network", "blue"), ("both", "the two, averaged", "green"))
    for measure, label, color in looks:
        found = np.array([results.interval(arm, measure) for arm in arms])
        marks += [Band(x, found[:, 1], found[:, 2], "", color), Line(x, found[:, 0], label, color)]
        said.append(f"{label} {', '.join(f'{mean:.2f}' for mean in found[:, 0])}")
    ahead: list[Mark] = [Line([x[0] / 1.3, x[-1] * 1.3], [0, 0], color="grey", dashed=True)]
    for label, color, pair in (("network", "blue", ("network", "ngram")), ("average", "green", ("both", "ngram"))):
        gaps = [results.values(arm, pair[0]) - results.values(arm, pair[1]) for arm in arms]
        for place, gap in zip(x, gaps, strict=True):
            mean, low, high = interval(gap)
            ahead += [
                Dots(np.full(len(gap), place), gap, "", "sky" if color == "blue" else color, size=3),
                Line([place * 1.06] * 2, [low, high], "", "ink"),
                Dots([place * 1.06], [mean], label if place == x[0] else "", color, size=6),
            ]
    limits, size = (x[0] / 1.3, x[-1] * 1.3), "training text (characters)"
    return Scene(
        [
            Panel(marks, "Unseen text", size, "bits per character", limits, x_scale="log", height=280),
            Panel(ahead, "More than the n-gram needs", size, "bits per character", limits, x_scale="log", height=280),
        ],
        alt=f"Bits per character of unseen text after training on {', '.join(arms)} characters: {'; '.join(said)}.",
        columns=2,
    )


def memorised(results: Results) -> Scene:
    """What training costs: the loss on seen and on unseen text, pass by pass, and how long copies get.

    Args:
        results: of the study `rnnlib.studies.language.sizes`.
    """
    losses: list[Mark] = []
    copies: list[Mark] = []
    said = []
    for arm, color in zip(results.arms, ("orange", "green", "blue"), strict=True):
        found, unseen, copied = (results.values(arm, name).mean(axis=0) for name in ("seen", "unseen", "copied"))
        passes = np.arange(1, len(found) + 1)
        losses += [
            Line(passes, unseen, f"{arm}, unseen", color),
            Line(passes, found, f"{arm}, seen", color, dashed=True),
        ]
        copies += [Line(passes, copied, f"{arm}", color), Dots(passes, copied, "", color)]
        said.append(f"{arm} characters: seen {found[-1]:.2f}, unseen {unseen[-1]:.2f}, copies {copied[-1]:.0f} long")
    text = np.mean([results.values(arm, "text copied").mean() for arm in results.arms])
    read = "read (times 300 thousand characters)"
    return Scene(
        [
            Panel(losses, "Bits of seen and of unseen text", read, "bits per character", height=320),
            Panel(copies, "Half of a sample lies in copies at least so long", read, "characters", (None, None),
                  (0, None), height=320),
        ],
        alt=f"After the last pass: {'; '.join(said)} (median). Unseen text by the same authors: {text:.0f}.",
        columns=2,
    )  # fmt: skip


def secret(results: Results) -> Scene:
    """How exposed a code is, against how often the training text tells it; a dot for each seed.

    Args:
        results: of the study `rnnlib.studies.language.secret`.
    """
    names = results.arms
    whole = np.log2(10_000)
    marks: list[Mark] = [
        Line([-0.5, len(names) - 0.5], [whole] * 2, "the likeliest of 10,000 codes", "grey", dashed=True)
    ]
    said = []
    looks = (("exposure", "network", "blue", -0.12), ("ngram exposure", "n-gram", "vermillion", 0.12))
    for measure, label, color, aside in looks:
        for place, arm in enumerate(names):
            values = results.values(arm, measure)
            spread = aside + np.linspace(-0.07, 0.07, len(values))
            marks.append(Dots(place + spread, values, label if place == 0 else "", color, size=7))
        said.append(f"{label} {', '.join(f'{results.values(arm, measure).mean():.1f}' for arm in names)}")
    return Scene(
        [
            Panel(marks, "How far a model gives the code away", "the text tells it", "exposure (bits)",
                  (-0.5, len(names) - 0.5), (0, 15), x_names=names, height=280),
        ],
        alt=f"Mean exposure in bits, where the text tells the code {', '.join(names)}: {'; '.join(said)}. "
        f"{whole:.1f} is the most there can be.",
    )  # fmt: skip
