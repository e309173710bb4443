"""How this room reaches a library that not every learner has: when it is needed, and with an error that helps."""

from importlib import import_module
from types import ModuleType


def optional(module: str, what: str) -> ModuleType:
    """Import a module of the extra `data`.

    Args:
        module: its full name.
        what: what needs it, as the subject of the error's sentence (plural).

    Returns:
        The module.

    Raises:
        ImportError: the library is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ImportError(f'{what} need the library {library}: pip install "rnn-notebooks[data]"') from error
