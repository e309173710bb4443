"""Every dataset of the course by name: what it is, whose it is, and how to get it. None needs a network.

What a loader returns stands in its own docstring: `help(available()["sunspots"].load)`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from rnnlib.data import labelled, music, series, synthetic, text


class Dataset(NamedTuple):
    """One dataset.

    Attributes:
        name: its name for `load`.
        description: one line; it begins with SYNTHETIC where nothing was measured.
        source: who made it, and what it comes with.
        licence: of the data, as its source states it.
        extra: what to install beside rnnlib, such as "data"; None: nothing.
        load: the loader, which documents its arguments and what it returns.
    """

    name: str
    description: str
    source: str
    licence: str
    extra: str | None
    load: Callable[..., Any]


PYTHON = "Python Software Foundation License, version 2; example code in the documentation also Zero-Clause BSD"
OURS = "made by this project's code, MIT"
DATASETS = (
    Dataset(
        "python_documentation",
        "English prose with marks: the language reference as Python's help shows it.",
        "The Python Software Foundation, pydoc_data.topics of the running Python, https://docs.python.org",
        PYTHON,
        None,
        text.python_documentation,
    ),
    Dataset(
        "python_source",
        "Program text: the source of twenty modules of Python's standard library.",
        "The Python Software Foundation, the library of the running Python, https://github.com/python/cpython",
        PYTHON,
        None,
        text.python_source,
    ),
    Dataset(
        "surnames",
        "Surnames in seven languages, to be told apart by their spelling.",
        "The lists of last names of faker's person providers, https://github.com/joke2k/faker",
        "MIT, that of faker; it does not say where each list was collected",
        "data",
        text.surnames,
    ),
    Dataset(
        "number_words",
        "Pairs of a number in digits and in English words, for seq2seq.",
        "Computed by num2words, https://github.com/savoirfairelinux/num2words",
        "the words are facts of English; num2words itself is LGPL",
        "data",
        text.number_words,
    ),
    Dataset(
        "sunspots",
        "Yearly sunspot numbers, 1700 to 2008, with a cycle of about eleven years.",
        "National Geophysical Data Center, http://www.ngdc.noaa.gov/stp/solar/solarda3.html, in statsmodels",
        'public domain ("This data is public domain.", statsmodels)',
        "data",
        series.sunspots,
    ),
    Dataset(
        "co2",
        "Weekly CO2 in the air above Mauna Loa, 1958 to 2001: a trend and a year's cycle.",
        "C. D. Keeling and T. P. Whorf (2004), Carbon Dioxide Information Analysis Center, "
        "http://cdiac.ornl.gov/trends/co2/sio-keel-flask/sio-keel-flaskmlo_c.html, in statsmodels",
        'public domain ("This is public domain.", statsmodels)',
        "data",
        series.co2,
    ),
    Dataset(
        "elnino",
        "Monthly temperature of the sea off Peru, 1950 to 2010: seasons and El Niño.",
        "National Weather Service, ERSST.V3B, Nino 1+2, http://www.cpc.ncep.noaa.gov/data/indices/, in statsmodels",
        'public domain ("This data is in the public domain.", statsmodels)',
        "data",
        series.elnino,
    ),
    Dataset(
        "ecg",
        "An electrocardiogram: 1024 samples, three heartbeats of one person.",
        "PyWavelets, pywt.data.ecg, https://github.com/PyWavelets/pywt; it does not say where it was recorded",
        "MIT, that of PyWavelets; nothing is said about the recording itself",
        "data",
        series.ecg,
    ),
    Dataset(
        "japanese_vowels",
        "Who speaks? Nine men say two vowels, /a/ and /e/, in one go: 640 utterances of 7 to 29 frames.",
        "M. Kudo, J. Toyama and M. Shimbo (1999), UCI Machine Learning Repository, https://doi.org/10.24432/C5NS47; "
        "an extract, rounded to four decimals, comes with rnnlib",
        "CC BY 4.0, that of the UCI repository",
        None,
        labelled.japanese_vowels,
    ),
    Dataset(
        "digit_rows",
        "Handwritten digits read row by row: 1797 images as eight steps of eight pixels.",
        "E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, "
        "https://archive.ics.uci.edu/dataset/80, in scikit-learn",
        "CC BY 4.0, that of the UCI repository",
        "data",
        labelled.digit_rows,
    ),
    Dataset(
        "chorales",
        "Forty chorales of J. S. Bach for four voices, as pitches on a grid.",
        "The corpus of music21, https://github.com/cuthbertLab/music21; encoded for the most part by M. Greentree",
        "the music is in the public domain; the encodings are distributed with music21 by permission, some perhaps not "
        "for commercial use (music21/corpus/license.txt)",
        "data",
        music.chorales,
    ),
    Dataset(
        "adding",
        "SYNTHETIC: add the two marked numbers of a sequence.",
        "S. Hochreiter and J. Schmidhuber (1997); Q. V. Le, N. Jaitly and G. Hinton (2015)",
        OURS,
        None,
        synthetic.adding,
    ),
    Dataset(
        "copying",
        "SYNTHETIC: say ten symbols again after a long wait.",
        "S. Hochreiter and J. Schmidhuber (1997); M. Arjovsky, A. Shah and Y. Bengio (2016)",
        OURS,
        None,
        synthetic.copying,
    ),
    Dataset(
        "parity",
        "SYNTHETIC: say after each bit whether the number of ones is odd.",
        "folklore",
        OURS,
        None,
        synthetic.parity,
    ),
    Dataset(
        "dog_bites_man",
        "SYNTHETIC: sentences in which only the order of three words tells who acts.",
        "this project",
        OURS,
        None,
        synthetic.dog_bites_man,
    ),
    Dataset(
        "random_walk",
        "SYNTHETIC: a series like a price, in which nothing can be learned.",
        "this project; L. Bachelier (1900) for the idea",
        OURS,
        None,
        synthetic.random_walk,
    ),
    Dataset(
        "planted_motif",
        "SYNTHETIC: find a short motif in random DNA; few sequences have one.",
        "this project; D. Pribnow (1975) for the motif TATAAT",
        OURS,
        None,
        synthetic.planted_motif,
    ),
)


def available() -> dict[str, Dataset]:
    """Every dataset by name, without loading any."""
    return {dataset.name: dataset for dataset in DATASETS}


def load(name: str, **options: Any) -> Any:
    """Load a dataset.

    Args:
        name: one of `available()`.
        options: arguments of its loader, such as T, N and rng of a synthetic task.

    Returns:
        What its loader returns; see the loader's docstring.

    Raises:
        ImportError: its library is not installed; the message names the extra.
        ValueError: there is no dataset of that name.
    """
    if name not in available():
        raise ValueError(f"there is no dataset {name!r}: expected one of {', '.join(available())}")
    return available()[name].load(**options)
