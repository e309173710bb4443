"""The explorer of lesson 14 about drawing: the probabilities of the next character, and a text drawn from them."""

from __future__ import annotations

import numpy as np

from rnnlib.data.vocabulary import Characters
from rnnlib.metrics import bits
from rnnlib.models import LanguageModel
from rnnlib.models.ngram import NGram
from rnnlib.studies.language import surprise
from rnnlib.viz import Bars, Choice, Dots, Explorer, Panel, Scene, Slider, Text
from rnnlib.viz.text.page import tiles

SHOWN = 18  # characters of the distribution
DRAWN = 260  # characters of the text
EVERY = "all"


def shaped(logits: np.ndarray, temperature: float, top_k: int | None) -> np.ndarray:
    """The probabilities from which `rnnlib.models.sample` draws, for one row of logits (V,)."""
    scores = logits.astype(np.float64) / temperature
    if top_k is not None:
        scores[np.argsort(-scores, kind="stable")[top_k:]] = -np.inf
    p = np.exp(scores - scores.max())
    return p / p.sum()


def name_of(character: str) -> str:
    """How a character is written on an axis."""
    return {" ": "␣", "\n": "↵"}.get(character, character)


def explorer(model: LanguageModel, rival: NGram, vocabulary: Characters, prompt: str = "The ") -> Explorer:
    """What comes after a prompt that a reader types, and what is drawn from there.

    Args:
        model: the network.
        rival: the n-gram model, whose probabilities stand beside.
        vocabulary: of both.
        prompt: at first.
    """

    def draw(prompt: str, temperature: float, top_k: str, seed: int) -> Scene:
        return drawn(model, rival, vocabulary, prompt, temperature, None if top_k == EVERY else int(top_k), seed)

    return Explorer(
        draw,
        Text("prompt", "your prompt", prompt),
        Slider("temperature", "temperature", 0.1, 2.0, 0.1, value=1.0),
        Choice("top_k", "top-k", (EVERY, "20", "5", "2", "1"), EVERY),
        Slider("seed", "draw number", 0, 20, 1, value=0),
        title="What comes next?",
        description="Type a prompt. Then cool and heat it, cut off the tail, and draw again.",
    )


def drawn(
    model: LanguageModel,
    rival: NGram,
    vocabulary: Characters,
    prompt: str,
    temperature: float,
    top_k: int | None,
    seed: int,
) -> Scene:
    """The next character's probabilities, before and after temperature and top-k, and a continuation."""
    read = vocabulary.encode(prompt or "\n")
    logits = model.logits(read[:, None])[0][-1, 0]
    said, used = shaped(logits, 1.0, None), shaped(logits, temperature, top_k)
    order = np.argsort(-said, kind="stable")[:SHOWN]
    tokens = [name_of(vocabulary.decode([i])) or "PAD" for i in order.tolist()]
    ids = model.generate(read, DRAWN, np.random.default_rng(seed), temperature=temperature, top_k=top_k)
    # a model may draw PAD or UNK, which are no text: only what can be shown is shown
    shown = np.concatenate([read, ids[ids != vocabulary.pad]])
    text = vocabulary.decode(shown)
    surprises = np.concatenate([[np.nan], bits(1.0) * surprise(model, shown)])
    surprises[: len(read)] = np.nan
    mean = float(np.nanmean(surprises))
    kept = "all characters" if top_k is None else f"the {top_k} likeliest"
    place = np.arange(len(order))
    return Scene(
        [
            Panel(
                [
                    Bars(place, used[order], "drawn from", "sky"),
                    Dots(place, said[order], "the network, as it is", "blue", size=7),
                    Dots(place, rival.probabilities(read)[order], "the n-gram", "vermillion", size=7),
                ],
                "After the prompt comes", "next character", "probability", (-0.7, SHOWN - 0.3), (0, 1),
                x_names=tokens, height=250,
            ),
            tiles(
                text, surprises, 10.0,
                f"A draw. Orange: unlikely, dark at 10 bits. Mean {mean:.2f} bits", most=9, given=len(read),
            ),
        ],
        alt=f"After “{prompt}” the network expects {name_of(tokens[0])} with probability {said[order[0]]:.2f}; at "
        f"temperature {temperature} among {kept} it is drawn with {used[order[0]]:.2f}, and the n-gram model gives it "
        f"{rival.probabilities(read)[order[0]]:.2f}. What was drawn has {mean:.2f} bits of surprise per character.",
    )  # fmt: skip
