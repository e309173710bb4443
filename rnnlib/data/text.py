"""Text and names that come with Python or with small libraries. How they become ids is `vocabulary`'s matter."""

from collections.abc import Iterable, Sequence
from importlib.util import find_spec

from rnnlib.data.libraries import optional

MODULES = (
    "argparse",
    "ast",
    "calendar",
    "cmd",
    "configparser",
    "copy",
    "csv",
    "difflib",
    "functools",
    "inspect",
    "ipaddress",
    "pickle",
    "random",
    "shutil",
    "statistics",
    "tarfile",
    "textwrap",
    "tokenize",
    "typing",
    "uuid",
)
LOCALES = {
    "it": "it_IT",
    "nl": "nl_NL",
    "es": "es_ES",
    "ga": "ga_IE",
    "en": "en_GB",
    "ru": "ru_RU",
    "de": "de_DE",
}
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
LATIN = "a b v g d e zh z i y k l m n o p r s t u f kh ts ch sh shch ' y ' e yu ya"
ROMAN = {ord(c): r for c, r in zip(CYRILLIC, LATIN.split(), strict=True)}
ROMAN |= {ord(c.upper()): r.capitalize() for c, r in zip(CYRILLIC, LATIN.split(), strict=True)}


def python_documentation() -> str:
    """English prose with reST marks: the language reference as Python's `help` shows it, about 465 000 characters.

    Returns:
        The topics in alphabetical order, a blank line between two. The text is that of the running Python: it differs
        from one version to the next, and so do numbers computed from it.

    Raises:
        ImportError: this Python came without its documentation.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise ImportError("this Python came without pydoc_data, its own documentation: install a full one") from error
    return "\n\n".join(topics[name].strip() for name in sorted(topics)) + "\n"


def python_source(modules: Iterable[str] = MODULES) -> dict[str, str]:
    """Program text: the source of modules of Python's standard library, for splits by module.

    Args:
        modules: top-level modules written in Python; by default twenty of them, about 1.1 million characters.

    Returns:
        The source by module name, that of the running Python. No module is run.

    Raises:
        ValueError: a module is not found or has no Python source.
    """
    sources = {}
    for name in modules:
        spec = None if "." in name else find_spec(name)
        source = getattr(spec.loader, "get_source", lambda _: None)(name) if spec else None
        if not source:
            raise ValueError(
                f"no source of {name!r}: expected a top-level module written in Python, such as 'argparse'"
            )
        sources[name] = source
    return sources


def surnames(languages: Sequence[str] = tuple(LOCALES), *, romanise: bool = True) -> dict[str, list[str]]:
    """Surnames in seven languages, for telling a language from the spelling of a name.

    The languages have between 404 and 2379 names (faker 40). English is that of Great Britain, where surnames come from
    many languages. A few names stand in several languages: no model can tell them, and a random split may put one on
    both sides. Russian has a name's forms for men and for women.

    Args:
        languages: of "it", "nl", "es", "ga" (Irish), "en", "ru" and "de".
        romanise: write Russian names in Latin letters (like BGN/PCGN, without its special cases for е), or the
            alphabet alone gives the language away. Accents stay, they belong to the spelling.

    Returns:
        For each language its names, each once, in code point order.

    Raises:
        ImportError: faker is not installed; the message names the extra.
        ValueError: a language is unknown.
    """
    unknown = sorted(set(languages) - set(LOCALES))
    if unknown:
        raise ValueError(f"languages {unknown} are unknown: expected some of {list(LOCALES)}")
    names = {}
    for language in languages:
        provider = optional(f"faker.providers.person.{LOCALES[language]}", "the surnames").Provider
        written = {name.strip() for name in provider.last_names}
        names[language] = sorted({name.translate(ROMAN) for name in written} if romanise else written)
    return names


def number_words(limit: int = 2000) -> list[tuple[str, str]]:
    """Numbers in digits and in English words, such as ("1234", "one thousand, two hundred and thirty-four").

    Args:
        limit: the numbers are 0 to limit - 1.

    Returns:
        The pairs in order.

    Raises:
        ImportError: num2words is not installed; the message names the extra.
        ValueError: limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit is {limit}: expected at least 1, for the number 0")
    in_words = optional("num2words", "numbers in words").num2words
    return [(str(n), in_words(n)) for n in range(limit)]
