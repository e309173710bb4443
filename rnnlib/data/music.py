"""Bach's chorales as four rows of pitches. Playing and drawing them do not come in here."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from rnnlib.data.libraries import optional

REST = -1  # the pitch of a voice that is silent
BWV = (
    "269 347 153.1 86.6 267 17.7 40.8 248.12-2 38.6 65.2 33.6 184.5 311 145.5 318 351 302 153.5 180.7 28.6 "
    "415 148.6 20.11 308 36.8-2 32.6 363 256 386 330 305 248.53-5 385 352 115.6 259 255 65.7 67.7 377"
)
CHORALES = tuple(BWV.split())


class Chorale(NamedTuple):
    """One chorale, on a grid of equal steps.

    Attributes:
        pitches: (T, 4), MIDI numbers (60 is middle C) of soprano, alto, tenor and bass; REST where a voice is silent.
        struck: (T, 4), bool: whether a note begins at this step, or sounds on from the step before.
    """

    pitches: np.ndarray
    struck: np.ndarray


def chorales(pieces: Sequence[str] = CHORALES, *, steps_per_quarter: int = 4) -> dict[str, Chorale]:
    """Chorales of J. S. Bach for four voices, written on a grid. Repeats are not played out.

    Args:
        pieces: BWV numbers as music21 writes them; by default forty that have exactly four voices and fit a grid of
            sixteenths, the first such in Riemenschneider's order. One takes about 0.06 s.
        steps_per_quarter: 4 for sixteenths, 2 for eighths, 1 for quarters; a note that begins between two steps is
            heard from the next, if it lasts until then.

    Returns:
        A Chorale by BWV number.

    Raises:
        ImportError: music21 is not installed; the message names the extra.
        ValueError: a piece is unknown or has not four voices, or steps_per_quarter is below 1.
    """
    if steps_per_quarter < 1:
        raise ValueError(f"steps_per_quarter is {steps_per_quarter}: expected 4 for sixteenths, or another from 1")
    corpus, converter = (optional(f"music21.{part}", "the chorales") for part in ("corpus", "converter"))
    played = {}
    for piece in pieces:
        try:
            path = corpus.getWork(f"bach/bwv{piece}", fileExtensions=(".mxl",))
        except Exception as error:  # music21 has an exception of its own for this
            raise ValueError(f"BWV {piece!r} is not in music21's corpus: expected a number such as '66.6'") from error
        score = converter.parse(path, forceSource=True, storePickle=False)  # leave nothing in the temporary folder
        if len(score.parts) != 4:
            raise ValueError(f"BWV {piece} has {len(score.parts)} parts: expected four voices")
        T = ceil(score.duration.quarterLength * steps_per_quarter)
        pitches, struck = np.full((T, 4), REST), np.zeros((T, 4), bool)
        for voice, part in enumerate(score.parts):
            begin = 0.0
            for note in part.flatten().notes:
                if note.tie is None or note.tie.type == "start":  # else it sounds on, from where its first part began
                    begin = note.offset * steps_per_quarter
                end = (note.offset + note.duration.quarterLength) * steps_per_quarter
                steps = slice(ceil(begin), ceil(end))
                pitches[steps, voice] = max(pitch.midi for pitch in note.pitches)
                struck[steps, voice][:1] = True
        played[piece] = Chorale(pitches, struck)
    return played
