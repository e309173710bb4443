"""The second explorer of lesson 07: an LSTM that somebody trained reads a line, and one sees what its gates do.

The lesson trains it to say, at every character of a Python line, whether it stands inside a string. Nothing here knows
that: any tagger of two classes with one LSTM layer can be looked at.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence

import numpy as np

from rnnlib.data.vocabulary import Vocabulary
from rnnlib.losses import softmax
from rnnlib.models.tagger import SequenceTagger
from rnnlib.probes import gate_activations
from rnnlib.recurrent import LSTM
from rnnlib.viz import Band, Bars, Choice, Dots, Explorer, Line, Panel, Scene, Slider, Text
from rnnlib.viz.gated.carousel import GATE_COLORS, diagram
from rnnlib.viz.scene import Mark

LONGEST = 48  # characters, as many as have room under the axis
TEXT = "say(\"it's\", name) + 'yes'"


class Read:
    """What a tagger of two classes does with a text.

    Args:
        model: with one LSTM layer over a vocabulary.
        vocabulary: turns the text into ids.
        text: at least one character.
        shift: added to the bias of every forget gate; the model itself stays as it is.

    Attributes:
        seen: (T, H) each, by name: "i", "f", "g", "o", "c" and "h", as `rnnlib.probes.gate_activations` gives them.
        chance: (T,), the probability of class 1 at every character.

    Raises:
        TypeError: the layer is no LSTM.
        ValueError: the text is empty.
    """

    def __init__(self, model: SequenceTagger, vocabulary: Vocabulary, text: str, shift: float = 0.0) -> None:
        if not isinstance(model.reader.rnn, LSTM):
            raise TypeError(
                f"the layer is a {type(model.reader.rnn).__name__}: expected an LSTM, whose gates are shown"
            )
        if not text:
            raise ValueError("the text is empty: type at least one character")
        layer = model.reader.rnn
        if shift:
            layer, H = copy.deepcopy(layer), layer.hidden_size
            layer.parameters["bias_ih_l0"][H : 2 * H] += shift  # gates i, f, g, o
        seen = gate_activations(layer, model.parameters["embedding.weight"][vocabulary.encode(text)[:, None]])
        self.seen = {name: values[:, 0] for name, values in seen.items()}
        self.chance = softmax(model.head.forward(seen["h"])[0])[:, 0, 1]


def explorer(model: SequenceTagger, vocabulary: Vocabulary, unit: int = 0, text: str = TEXT) -> Explorer:
    """One unit's gates and cell state over a text that a reader may type, character by character.

    Args:
        model, vocabulary: as in `Read`.
        unit: which one is shown first.
        text: the first text.
    """
    units = list(range(model.reader.rnn.hidden_size))
    read = functools.lru_cache(maxsize=64)(functools.partial(Read, model, vocabulary))
    return Explorer(
        functools.partial(_shown, read),
        Text("text", "a line of Python", text, max_length=LONGEST),
        Slider("step", "characters read", 1, LONGEST, 1, value=len(text), steps_per_second=3, counts="text"),
        Choice("unit", "unit", units, unit),
        Slider("shift", "added to every aᶠ", -8.0, 8.0, 0.5, value=0.0),
        title="Gates at work",
        description="Play the characters and watch f and i at the quotes. Then type a line of your own, look at the "
        "other units, and meddle with the forget gates.",
    )


def _shown(read: Callable[[str, float], Read], text: str, step: int, unit: int, shift: float) -> Scene:
    """The scene after `step` characters of the text; an empty text is drawn as one space."""
    text = text or " "
    return over_text(read(text, shift), text, unit, step)


def over_text(read: Read, text: str, unit: int, step: int | None = None) -> Scene:
    """One unit's step as a diagram, then its gates, what is written and kept, and what the model says, by character.

    Args:
        read: of this text.
        text: its characters are named under the axis.
        unit: which one.
        step: how many characters have been read; None: all.
    """
    step = len(text) if step is None else step
    seen = {name: values[:, unit].astype(float) for name, values in read.seen.items()}
    at = np.arange(len(text))
    known = at < step
    before = seen["c"][step - 2] if step > 1 else 0.0
    now = {name: float(values[step - 1]) for name, values in seen.items()}
    gates: list[Mark] = [
        Line(at, np.where(known, seen[name], np.nan), name, color) for name, color in GATE_COLORS.items()
    ]
    gates += [Dots(at, np.where(known, seen[name], np.nan), color=color, size=4) for name, color in GATE_COLORS.items()]
    state: list[Mark] = [
        Bars(at, np.where(known, seen["i"] * seen["g"], 0), "i ⊙ g, written", "orange"),
        Line(at, np.where(known, seen["c"], np.nan), "c", "ink"),
        Dots(at, np.where(known, seen["c"], np.nan), color="ink", size=4),
    ]
    high = max(1.1, 1.1 * float(np.abs(seen["c"]).max()))
    span = (-0.6, len(text) - 0.4)
    names = [_visible(c) for c in text]
    return Scene(
        [
            diagram(now | {"c before": float(before)}, f"Unit {unit} reads {names[step - 1]}", height=245),
            _panel(gates, step, span, names, "Its gates", "open (0 to 1)", (-0.05, 1.05), 150),
            _panel(state, step, span, names, "Its cell state", "value", (-high, high), 160),
            _panel([Bars(at, np.where(known, read.chance, 0), color="sky")], step, span, names,
                   "What the network says", "P(in a string)", (0, 1.05), 130, "character just read"),
        ],
        alt=f"After {text[:step]!r}, unit {unit}: f = {now['f']:.2f}, i = {now['i']:.2f}, o = {now['o']:.2f}; c goes "
        f"from {before:.2f} to {now['c']:.2f}. Probability of standing inside a string: {read.chance[step - 1]:.2f}.",
    )  # fmt: skip


def _panel(
    marks: Sequence[Mark], step: int, span: tuple[float, float], names: Sequence[str], title: str, y_label: str,
    limits: tuple[float, float], height: int, x_label: str = "",
) -> Panel:  # fmt: skip
    """A panel over the text, the present character shaded."""
    here = Band([step - 1.5, step - 0.5], [limits[0]] * 2, [limits[1]] * 2, color="grey")
    return Panel(
        [here, *marks], title, x_label=x_label, y_label=y_label, x_limits=span, y_limits=limits, x_names=names,
        height=height,
    )  # fmt: skip


def _visible(character: str) -> str:
    return {" ": "␣", "\n": "↵"}.get(character, character)
