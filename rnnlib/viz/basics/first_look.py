"""The first explorer of the course: a small network reads a text, and one sees how long its first letter is remembered.

Nobody trained this network. Its weights are random, and all singular values of W_hh equal one number, `memory`, so that
nothing but `memory` and tanh decides how long the past lasts.
"""

from __future__ import annotations

import numpy as np

from rnnlib.cells import rnn
from rnnlib.viz.explorer import Explorer, Slider, Text
from rnnlib.viz.scene import Dots, Heatmap, Label, Line, Panel, Scene

TEXT = "a small network reads this line."
UNITS, LETTER_SIZE = 12, 6  # H, D
_LONGEST = len(TEXT)
_MOST = 1.5  # of `memory`


def letter_vector(letter: str) -> np.ndarray:
    """Any one character as LETTER_SIZE numbers, (D,): random, but the same whenever it comes."""
    return np.random.default_rng(ord(letter)).normal(size=LETTER_SIZE)


def weights(memory: float) -> tuple[np.ndarray, np.ndarray]:
    """W_ih (H, D), random; W_hh (H, H), a random rotation or reflection times `memory`."""
    rng = np.random.default_rng(0)
    W_ih = rng.normal(0, 0.4 / np.sqrt(LETTER_SIZE), (UNITS, LETTER_SIZE))
    return W_ih, memory * np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]


def read(text: str, memory: float) -> tuple[np.ndarray, np.ndarray]:
    """Read a text twice, the second time with silence (x = 0) in place of its first letter.

    Returns:
        states: (T, H), the state after each letter of the whole text.
        late: (T, H), the same for the reader who came too late for the first letter; at first it is zero.

    Raises:
        ValueError: the text is empty.
    """
    if not text:
        raise ValueError("the text is empty: there is no first letter to remember")
    W_ih, W_hh = weights(memory)
    x = np.stack([letter_vector(letter) for letter in text])[:, None].repeat(2, axis=1)
    x[0, 1] = 0
    hs, _, _ = rnn.forward(x, np.zeros((2, UNITS)), W_ih, W_hh, np.zeros(UNITS), np.zeros(UNITS))
    return hs[:, 0], hs[:, 1]


def remaining(text: str, memory: float) -> np.ndarray:
    """How far apart the two readers of `read` are after each letter, (T,), as a share of their first distance."""
    states, late = read(text, memory)
    distance = np.linalg.norm(states - late, axis=1)
    return distance / distance[0]


def half_gone(text: str, memory: float) -> int | None:
    """How many letters it has read when less than half of the first one remains; None if that never happens."""
    less = np.flatnonzero(remaining(text, memory) < 0.5)
    return int(less[0]) + 1 if less.size else None


def draw(text: str, letters: int, memory: float) -> Scene:
    """The state after each of the first `letters` letters, and what remains of the first one."""
    if not text:
        invitation = Panel(
            [Label(0, 0, "Type something for it to read.")], axes=False, height=571
        )  # as tall as the rest
        return Scene([invitation], "Nothing to read yet.")
    seen, T = min(letters, len(text)), len(text)
    states, late = read(text, memory)
    remains = remaining(text, memory)
    unread = np.arange(T)[:, None] >= seen
    names, ends = ["␣" if letter == " " else letter for letter in text], (-0.5, T - 0.5)
    state = Panel(
        [Heatmap(np.where(unread, np.nan, states).T, label="state h", limits=(-1, 1))],
        title=f"What it keeps: its state after each letter ({seen} of {T} read)",
        y_label="hidden unit",
        height=185,
        x_names=names,
        x_limits=ends,
    )
    trace = Panel(
        [Heatmap(np.where(unread, np.nan, states - late).T, label="difference", limits=(-1, 1))],
        title="The same, minus the state of a reader who missed the first letter",
        y_label="hidden unit",
        height=185,
        x_names=names,
        x_limits=ends,
    )
    curve = Panel(
        [
            Line(np.arange(seen), 100 * remains[:seen], color="blue"),
            Dots([seen - 1], [100 * remains[seen - 1]], color="blue", size=9),
        ],
        title=f"What remains of the first letter, {_quoted(text[0])}: {_percent(remains[seen - 1])}",
        x_label="letter just read",
        y_label="remains (%)",
        y_limits=(0, max(200, 100 * remains.max())),
        height=165,
        x_names=names,
        x_limits=ends,
    )
    alt = (
        f"With memory {memory:.2f}, after reading {_quoted(text[:seen])} ({seen} of {T} letters), "
        f"{_percent(remains[seen - 1])} of what the first letter did to the state remains"
        f"{': above 100%, the difference has grown' if remains[seen - 1] > 1 else ''}."
    )
    return Scene([state, trace, curve], alt)


def _quoted(text: str) -> str:
    return f"“{text}”"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.0005 or share == 0 else "less than 0.1%"


def explorer() -> Explorer:
    """The explorer of lesson 00."""
    return Explorer(
        draw,
        Slider("memory", "memory", 0.0, _MOST, 0.05, value=0.9),
        Slider("letters", "letters read", 1, _LONGEST, 1, value=_LONGEST, steps_per_second=6, counts="text"),
        Text("text", "your text", TEXT, max_length=_LONGEST),
        title="How long does it remember the first letter?",
        description=f"A network of {UNITS} units reads letter by letter. Drag the memory, press ▶, type your words.",
    )
