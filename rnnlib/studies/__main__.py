"""Make a study's full run, or go on with one that was stopped: `python -m rnnlib.studies NAME ...`."""

import argparse
import importlib
import pkgutil
import sys

import rnnlib.studies
from rnnlib.studies.study import KEPT, Study


def studies() -> dict[str, Study]:
    """Every study by name."""
    modules = (importlib.import_module(f"rnnlib.studies.{info.name}") for info in _files())
    return {each.name: each for module in modules for each in vars(module).values() if isinstance(each, Study)}


def _files() -> list[pkgutil.ModuleInfo]:
    return [info for info in pkgutil.iter_modules(rnnlib.studies.__path__) if info.name not in ("__main__", "study")]


def main(arguments: list[str] | None = None) -> int:
    """List the studies, or run those named to their end."""
    known = studies()
    parser = argparse.ArgumentParser(prog="python -m rnnlib.studies", description="Run studies in full.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a study; none: list them")
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no study {unknown[0]!r}; there are {', '.join(known)}")
    for name in names:
        known[name].run(full=True, path=KEPT / f"{name}.json")
    for name in () if names else known:
        print(f"{name:24} {known[name].question}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
