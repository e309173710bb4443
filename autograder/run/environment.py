"""The slim Python a submission runs in: interpreter, standard library, NumPy, IPython, matplotlib and what these need.

It is a copy in a cache, because the sandbox is unprivileged and an environment below a home folder usually is not
readable for others, and because what is not in the copy (torch, rnnlib, nbgrader, the system's programs) cannot be
imported, read or run. Shared libraries are copied too, so that the sandbox needs no part of the host's /usr.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autograder.run.outcome import SandboxUnavailable

WANTED = ("numpy", "ipython", "matplotlib")
LAYOUT = "1"  # raise it when `_build` lays things out differently
NOT_COPIED = {
    "__phello__",
    "dist-packages",
    "ensurepip",
    "idlelib",
    "lib2to3",
    "site-packages",
    "test",
    "tests",
    "tkinter",
    "turtledemo",
    "venv",
}
PACKAGES = "packages"
LIBRARIES = "libraries"


@dataclass(frozen=True)
class Environment:
    """A finished copy.

    Args:
        root: the folder; it may lie anywhere, nothing in it knows its own place.
        loader: the absolute path at which programs expect the dynamic loader, and its file's name in `LIBRARIES`.
    """

    root: Path
    loader: tuple[str, str]


def prepare(also: Iterable[str] = ()) -> Environment:
    """Find the environment for this Python and these versions in the cache, or copy it there (half a minute, once).

    Args:
        also: distributions beside `WANTED`; each choice is an environment of its own.

    Raises:
        SandboxUnavailable: a distribution is missing, or no folder is safe to keep the copy in.
    """
    distributions = _closure([*WANTED, *also])
    name = _key(distributions)
    for folder in _readable_caches():
        if (folder / name / "loader").exists() and _is_trustworthy(folder) and _is_trustworthy(folder / name):
            return _open(folder / name)
    cache = _own_cache()
    building = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
    try:
        _build(building, distributions)
        building.chmod(0o755)
        _move_into_place(building, cache / name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return _open(cache / name)


def _open(root: Path) -> Environment:
    path, name = (root / "loader").read_text().split("\n")
    return Environment(root, (path, name))


def _move_into_place(building: Path, final: Path) -> None:
    """Rename at once; whoever built the same at the same time may have been first."""
    try:
        building.rename(final)
    except OSError:
        if not _is_trustworthy(final):
            raise SandboxUnavailable(f"{final} belongs to someone else or others may write there; remove it") from None


# Where: a folder that only we (or root) can write to, and everyone can read.


_SYSTEM_CACHE = Path("/var/cache/rnn-notebooks")


def _readable_caches() -> list[Path]:
    return [*_cache_folders(), _SYSTEM_CACHE]


def _cache_folders() -> list[Path]:
    """Folders of our own to try, the best first."""
    shared = Path(tempfile.gettempdir()) / f"rnn-notebooks-{os.getuid()}"
    if os.getuid() == 0:
        return [_SYSTEM_CACHE, shared]
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return [home / "rnn-notebooks", shared] if home.is_absolute() else [shared]


def _own_cache() -> Path:
    """Make the first folder that can be made and is safe.

    Raises:
        SandboxUnavailable: none is; somebody may have put one there before us.
    """
    tried = []
    for folder in _cache_folders():
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError as error:
            tried.append(str(error))
            continue
        if _is_trustworthy(folder) and os.stat(folder).st_uid == os.getuid():
            return folder
        tried.append(f"{folder} belongs to someone else or others may write there")
    raise SandboxUnavailable("no safe folder for the grading environment: " + "; ".join(tried))


def _is_trustworthy(folder: Path) -> bool:
    """Whether `folder` is a real folder of ours or root's in which nobody else can write or swap names."""
    found = os.lstat(folder)
    parent = os.stat(folder.parent)
    shared_parent = parent.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not parent.st_mode & stat.S_ISVTX
    ours = found.st_uid in (0, os.getuid()) and parent.st_uid in (0, os.getuid())
    open_to_others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and ours and not open_to_others and not shared_parent


# What: the closure of distributions, and a name that changes when any of them does.


def _closure(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    """The distributions `names` and all that they need on this machine, sorted by name.

    Raises:
        SandboxUnavailable: one is not installed, or was installed without a list of its files.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = _normal(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise SandboxUnavailable(f"grading needs {name}: pip install {name}") from None
        if not found[name].files:
            raise SandboxUnavailable(f"{name} was installed without a list of its files: install it with pip")
        waiting += _requirements(found[name])
    return [found[name] for name in sorted(found)]


def _requirements(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    from packaging.requirements import Requirement  # matplotlib needs it, so it is there

    for requirement in map(Requirement, distribution.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _key(distributions: list[importlib.metadata.Distribution]) -> str:
    digest = hashlib.sha256("\0".join([LAYOUT, sys.version, platform.machine(), *platform.libc_ver()]).encode())
    for distribution in distributions:
        digest.update((distribution.read_text("RECORD") or distribution.version).encode())
    return f"python{sys.version_info[0]}.{sys.version_info[1]}-{digest.hexdigest()[:16]}"


# How: copy, then find the shared libraries of all that was copied.


def _build(root: Path, distributions: list[importlib.metadata.Distribution]) -> None:
    programs: list[Path] = []
    interpreter = Path(sys.executable).resolve()
    _copy(interpreter, root / "bin" / "python3", programs)
    standard = Path(sysconfig.get_path("stdlib"))
    home = root / sys.platlibdir / standard.name
    for file in _standard_library(standard):
        _copy(file, home / file.relative_to(standard), programs)
    for distribution in distributions:
        for entry in distribution.files or ():
            source = Path(str(distribution.locate_file(entry)))
            if ".." not in entry.parts and entry.name != "direct_url.json" and source.is_file():
                _copy(source, root / PACKAGES / entry, programs)
    loader = _copy_libraries(root / LIBRARIES, programs)
    compileall.compile_dir(root, quiet=2, workers=1)
    _open_to_readers(root)
    (root / "loader").write_text("\n".join(loader))
    (root / "loader").chmod(0o644)


def _standard_library(standard: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(standard):
        folders[:] = [name for name in folders if name not in NOT_COPIED and not name.startswith("config-")]
        yield from (Path(folder, name) for name in files if not name.startswith("_tkinter"))


def _copy(source: Path, target: Path, programs: list[Path]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    taken = source.stat()
    os.utime(target, ns=(taken.st_atime_ns, taken.st_mtime_ns))  # compiled files remember the time of their source
    if ".so" in source.name or target.parent.name == "bin":
        programs.append(source)


def _open_to_readers(root: Path) -> None:
    for folder, folders, files in os.walk(root):
        for name in folders:
            os.chmod(Path(folder, name), 0o755)
        for name in files:
            os.chmod(Path(folder, name), 0o755 if Path(folder).name in ("bin", LIBRARIES) else 0o644)


def _copy_libraries(folder: Path, programs: list[Path]) -> tuple[str, str]:
    """Copy every shared library the programs need; returns where the loader is expected, and its name here."""
    folder.mkdir(parents=True)
    loader: tuple[str, str] | None = None
    bundled = {program.resolve() for program in programs}
    for name, path in sorted(_needed(programs)):
        if path.resolve() in bundled:
            continue
        if name.startswith("/"):
            loader = name, path.name
        shutil.copyfile(path, folder / Path(name).name)
    if loader is None:
        raise SandboxUnavailable("the dynamic loader of this Python was not found (a static build?)")
    return loader


def _needed(programs: list[Path]) -> set[tuple[str, Path]]:
    """What the dynamic loader would load for `programs`: (name asked for, file found)."""
    if shutil.which("ldd") is None:
        raise SandboxUnavailable("ldd was not found: it comes with the C library's tools (libc-bin, glibc-common)")
    listing = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False).stdout
    arrows = {(name, Path(path)) for name, path in re.findall(r"^\t(\S+) => (/\S+) \(", listing, re.MULTILINE)}
    loaders = {(path, Path(path)) for path in re.findall(r"^\t(/\S+) \(", listing, re.MULTILINE)}
    return arrows | loaders
