"""Taggers that hear letters one by one: what each says of every letter so far, and which answers it takes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from rnnlib.models import SequenceTagger
from rnnlib.studies.depth import encode
from rnnlib.viz import Bars, Dots, Explorer, Line, Panel, Scene, Slider, Text
from rnnlib.viz.scene import Mark

TEXT, LONGEST = "one of them is the same as another in the list", 48


class Listener(NamedTuple):
    """A trained tagger of word ends; it answers `wait` letters late."""

    model: SequenceTagger
    wait: int = 0


def history(listener: Listener, ids: np.ndarray) -> np.ndarray:
    """How likely a word ends at each letter, after one letter, after two, and so on.

    Args:
        listener: its model's class 1 is a word's end, 0 is none.
        ids: (T,).

    Returns:
        (T, T): row t is said after t + 1 letters and knows no more; NaN where there is no answer yet.
    """
    T, wait = len(ids), listener.wait
    said = np.full((T, T), np.nan)
    if T == 0:
        return said
    # a batch of all beginnings, one column for each: (T, N = T)
    logits = listener.model.logits(np.repeat(ids[:, None], T, axis=1), np.arange(1, T + 1))[0]
    # p = 1 / (1 + exp(z_0 - z_1)), of the two classes that are an answer
    p = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    for t in range(wait, T):
        said[t, : t + 1 - wait] = p[wait : t + 1, t]
    return said


def taken_back(said: np.ndarray) -> np.ndarray:
    """Which answers have crossed one half since they were first given, (T,) of bool; `said` is (heard, T)."""
    answered = ~np.isnan(said)
    yes = (said > 0.5) & answered
    return yes.any(axis=0) & (~yes & answered).any(axis=0)


def explorer(listeners: Mapping[str, Listener], text: str = TEXT) -> Explorer:
    """Letters arrive; every listener says what it thinks of those that it has heard.

    Args:
        listeners: by name, at most three.
        text: words with spaces; the listeners get the letters alone.
    """

    def shown(text: str, heard: int) -> Scene:
        return draw(listeners, text, heard)

    return Explorer(
        shown,
        Text("text", "text", text, LONGEST),
        Slider("heard", "heard so far", 1, LONGEST, 1, value=min(34, len(text)), steps_per_second=2, counts="text"),
        title="Answers in a stream",
        description="Play it. The dot is a listener's first answer to a letter, the bar what it says now.",
    )


def draw(listeners: Mapping[str, Listener], text: str, heard: int) -> Scene:
    """What every listener says of each letter now, and what it said first.

    Args:
        listeners: as those of `explorer`.
        text: words with spaces.
        heard: characters of the text so far, of which the spaces are not passed on.
    """
    ids = encode(text)
    now = len(encode(text[:heard]))
    names = [chr(ord("a") + i) for i in ids] or ["-"]
    ends = np.cumsum([len(encode(word)) for word in text.split()]) - 0.5 if len(ids) else np.empty(0)
    panels, told = [], [f"{now} of {len(ids)} letters heard."]
    for name, listener in listeners.items():
        said = history(listener, ids)[:now, :now]
        back = np.flatnonzero(taken_back(said)) if now else np.empty(0, int)
        panels.append(_panel(name, said, back, ends, names))
        given = np.count_nonzero(~np.isnan(said[-1])) if now else 0
        told.append(f"{name}: {given} answers, {len(back)} of them turned round on the way.")
    return Scene(panels, alt=" ".join(told))


def _panel(name: str, said: np.ndarray, back: np.ndarray, ends: np.ndarray, names: Sequence[str]) -> Panel:
    marks: list[Mark] = [Line([end, end], [0, 1.0], color="grey", dashed=True) for end in ends]
    marks.append(Line([-0.5, len(names) - 0.5], [0.5, 0.5], color="grey"))
    if len(said):
        steps, present = np.arange(len(said)), np.nan_to_num(said[-1])
        turned = np.isin(steps, back)
        marks.append(Bars(steps, np.where(turned, 0, present), "says now", "sky", 0.7))
        marks.append(Bars(steps, np.where(turned, present, 0), "says now, has changed its mind", "orange", 0.7))
        answered = ~np.isnan(said)
        some = answered.any(axis=0)
        first = said[answered.argmax(axis=0), steps]
        marks.append(Dots(steps[some], first[some], "said first", "ink", 5))
    return Panel(
        marks,
        name,
        "letter (dashed: a word ends)",
        "p(a word ends)",
        (-0.6, len(names) - 0.4),
        (0, 1.02),
        x_names=names,
        height=215,
    )
