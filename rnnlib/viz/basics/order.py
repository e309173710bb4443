"""What a model without order sees of a sentence, and what one with a window sees of a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rnnlib.viz import Bars, Dots, Explorer, Label, Line, Panel, Scene, Slider, Text
from rnnlib.viz.scene import Box, Mark

WORDS, LENGTH = 6, 60  # at most so many words are drawn, of texts of so many characters


def explorer() -> Explorer:
    """Two sentences that a reader types: their bags of words, and what a window of the last k words holds."""
    return Explorer(
        seen,
        Text("one", "one sentence", "dog bites man", max_length=LENGTH),
        Text("other", "another", "man bites dog", max_length=LENGTH),
        Slider("k", "window", 1, WORDS, 1, value=3, unit="words"),
        title="What does the network get to see?",
        description="Type two sentences with different meanings and the same bag. Then find the smallest window "
        "that tells them apart. What do words added at the end do to it?",
    )


def seen(one: str, other: str, k: int) -> Scene:
    """Two sentences as a bag of words and as a window see them.

    Args:
        one, other: words, separated by spaces.
        k: how many words, from the end, the window holds.
    """
    sentences = [text.lower().split() for text in (one, other)]
    words = sorted({word for sentence in sentences for word in sentence}) or ["(none)"]
    bags = [np.array([sentence.count(word) for word in words]) for sentence in sentences]
    windows = [sentence[-k:] for sentence in sentences]
    same_bag, same_window = bool((bags[0] == bags[1]).all()), windows[0] == windows[1]
    return Scene(
        [
            _bag_panel(words, bags, f"Bags of words: {'identical' if same_bag else 'they differ'}"),
            _window_panel(sentences, k, f"Last {k} words: {'identical' if same_window else 'they differ'}"),
        ],
        alt=f"“{one}” and “{other}”: their bags of words {'are identical' if same_bag else 'differ'}; in a window of "
        f"{k} they {'are identical too' if same_bag and same_window else 'are identical' if same_window else 'differ'}."
        + (" No weights can make a network on the bag answer differently." if same_bag else ""),
    )


def _bag_panel(words: Sequence[str], bags: Sequence[np.ndarray], title: str) -> Panel:
    at = np.arange(len(words))
    return Panel(
        [
            Bars(at - 0.2, bags[0], "one sentence", "blue", 0.36),
            Bars(at + 0.2, bags[1], "another", "vermillion", 0.36),
        ],
        title,
        x_label="word",
        y_label="how often",
        y_limits=(0, max(2.2, 1.1 * max(int(bag.max()) for bag in bags))),
        x_limits=(-0.6, max(len(words), 3) - 0.4),
        x_names=list(words),
        height=240,
    )


def _window_panel(sentences: Sequence[Sequence[str]], k: int, title: str) -> Panel:
    """The sentences one above the other, word by word, aligned at their ends; what the window holds is coloured."""
    marks: list[Mark] = []
    for y, (sentence, name) in enumerate(zip(sentences, ("one", "another"), strict=True)):
        for back, word in enumerate(reversed(sentence[-WORDS:])):
            shade = (-0.5 if y == 0 else 0.5) if back < k else None
            marks.append(Box(-back, -y, word[:10], shade, width=0.9, height=0.6, color="ink" if back < k else "grey"))
        marks.append(Label(-WORDS + 0.3, -y, name, align="right"))
    marks.append(Line([0.5 - k] * 2, [-1.45, 0.45], color="green", dashed=True))
    return Panel(marks, title, axes=False, x_limits=(-WORDS - 0.7, 0.6), y_limits=(-1.6, 0.6), height=150)


def window_reach(windows: np.ndarray, accuracies: Mapping[str, np.ndarray]) -> Scene:
    """How often a window of k steps is right, against k, a line for each name.

    Args:
        windows: (n,), window sizes.
        accuracies: by name, (n,), from 0 to 1.
    """
    marks: list[Mark] = [Line([windows[0], windows[-1]], [50, 50], "a coin", "grey", dashed=True)]
    for (name, shares), color in zip(accuracies.items(), ("blue", "vermillion", "green"), strict=False):
        marks += [Line(windows, 100 * shares, name, color), Dots(windows, 100 * shares, color=color)]
    spoken = [
        f"{name}: at least 95 % right from a window of {windows[np.argmax(shares >= 0.95)]} on"
        for name, shares in accuracies.items()
        if (shares >= 0.95).any()
    ]
    panel = Panel(
        marks, x_label="window k (steps)", y_label="right on new sequences (%)", y_limits=(30, 105), height=280
    )
    return Scene([panel], alt=f"Accuracy against the window. {'; '.join(spoken)}. Smaller windows are at chance.")
