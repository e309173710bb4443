"""The explorer of lesson 14 about reading: each character of a text, coloured by how much it surprised a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnlib.data.vocabulary import Characters
from rnnlib.metrics import bits
from rnnlib.models import LanguageModel
from rnnlib.models.ngram import NGram
from rnnlib.studies.language import surprise
from rnnlib.viz import Choice, Explorer, Scene, Slider, Text
from rnnlib.viz.text.page import COLUMNS, rows, tiles

OWN = "what you type"
READERS = ("the network", "the n-gram", "network less n-gram")
ROWS = 9


def explorer(
    texts: Mapping[str, str], model: LanguageModel, rival: NGram, vocabulary: Characters, typed: str
) -> Explorer:
    """Where are the models surprised?

    Args:
        texts: by name, such as seen and unseen ones; some thousand characters each.
        model, rival: who read.
        vocabulary: of both.
        typed: a text of the reader's own, at first.
    """
    known = {name: read(text, model, rival, vocabulary) for name, text in texts.items()}
    longest = max(map(len, texts.values()))

    def draw(which: str, typed: str, who: str, start: int) -> Scene:
        if which == OWN:
            return page(typed, read(typed, model, rival, vocabulary), who, 0)
        return page(texts[which], known[which], who, start)

    return Explorer(
        draw,
        Choice("which", "text", (*texts, OWN), next(iter(texts))),
        Text("typed", OWN, typed, max_length=120),
        Choice("who", "read by", READERS, READERS[0]),
        Slider("start", "from character", 0, longest - 400, 100, value=0),
        title="Where is it surprised?",
        description="White was expected, dark orange was not. Look at the beginnings of words, and at their ends.",
    )


def read(text: str, model: LanguageModel, rival: NGram, vocabulary: Characters) -> np.ndarray:
    """(2, len(text)) bits of surprise at each character, of network and n-gram; NaN at the first, which none foresees.

    A text shorter than two characters surprises nobody.
    """
    ids = vocabulary.encode(text)
    found = np.full((2, len(ids)), np.nan)
    if len(ids) > 1:
        found[:, 1:] = bits(1.0) * np.stack([surprise(model, ids), rival.surprise(ids)])
    return found


def page(text: str, surprises: np.ndarray, who: str, start: int) -> Scene:
    """Some rows of a text.

    Args:
        text: what was read.
        surprises: of both, from `read`.
        who: of READERS; the last colours blue where the network knew better, orange where the n-gram did.
        start: the first character shown.
    """
    stop = start + sum(map(len, rows(text[start : start + ROWS * COLUMNS])[:ROWS]))
    network, ngram = surprises[:, start:stop]
    values = {READERS[0]: network, READERS[1]: ngram, READERS[2]: network - ngram}[who]
    means = [float(np.nanmean(each)) if np.isfinite(each).any() else 0.0 for each in (network, ngram)]
    told = f"network {means[0]:.2f}, n-gram {means[1]:.2f} bits per character"
    legend = "blue: the network knew better" if who == READERS[2] else "dark orange: 8 bits or more"
    worst = int(np.nanargmax(np.abs(values))) if np.isfinite(values).any() else 0
    return Scene(
        [tiles(text[start:stop], values, 8.0, f"Here: {told} ({legend})", most=ROWS)],
        alt=f"{stop - start} characters from number {start + 1} on, coloured by {who}. Mean surprise: {told}. "
        f"The largest is at “{' '.join(text[start:stop][max(0, worst - 12) : worst + 1].split())}”.",
    )
