"""What lies in an untrusted folder or zip archive: a list of names, and bytes one file at a time.

Nothing is unpacked onto a disk: a name here is a text that says where something came from, never a place to write to.
A file that cannot be had says why when it is read, so that one bad file never hides the others.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO, FileIO
from itertools import islice
from pathlib import Path
from typing import IO

from autograder.course_files import CourseError, printable
from autograder.ingest import MAX_BYTES, Ungradable, read_regular_file

MAX_FILES = 5_000  # below one folder of a folder
MAX_DEPTH = 20
MAX_LISTING = 4 << 20  # bytes of an archive's list of contents: some tens of thousands of files
MAX_RATIO = 200  # of a large file to its packed form; notebooks pack 3 to 50 times
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes before the first byte
NOBODYS = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what systems leave behind, besides hidden files


@dataclass(frozen=True)
class File:
    """A file of a source: its path there, for people and patterns, and its bytes. Reading may raise Ungradable.

    `unseen` stands for all below a folder that we may not list.
    """

    path: str
    read: Callable[[], bytes]
    unseen: PermissionError | None = None

    @property
    def name(self) -> str:
        """Its own name, without folders."""
        return self.path.rpartition("/")[2]


@contextmanager
def opened(source: Path) -> Iterator[list[File]]:
    """The files of a folder or a zip archive.

    Raises:
        CourseError: it is neither, or a broken archive.
    """
    if source.is_dir():
        yield files_of_folder(source)
        return
    if not source.is_file():
        raise CourseError(f"{source} is not there: expected a folder, or the zip file that the LMS gave out.")
    with _Listing(source) as file:
        try:
            files = files_of_zip(file)
        except Ungradable as error:
            raise CourseError(f"{source}: {error}") from None
        yield files


def files_of_folder(root: Path) -> list[File]:
    """The files below a folder, in order. Links are listed and not followed; hidden files are nobody's."""
    files: list[File] = []
    for name in sorted(os.listdir(root)):
        try:
            for parts in islice(_walk(root, (name,)), MAX_FILES):
                files.append(File(_shown(parts), partial(_read_below, root, parts)))
        except PermissionError as error:
            files.append(File(_shown((name, "...")), partial(_read_below, root, (name,)), error))
    return files


def _walk(root: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if _is_nobodys(parts[-1]):
        return
    path = root.joinpath(*parts)
    try:
        is_folder = stat.S_ISDIR(os.lstat(path).st_mode) and len(parts) <= MAX_DEPTH
        names = sorted(os.listdir(path)) if is_folder else []
    except (FileNotFoundError, NotADirectoryError):
        return  # it was there a moment ago
    if not is_folder:
        yield parts
    for name in names:
        yield from _walk(root, (*parts, name))


def _read_below(root: Path, parts: tuple[str, ...]) -> bytes:
    """Read a file with no link on the way, not even one that was put there since we looked."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            try:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            except (NotADirectoryError, FileNotFoundError):
                raise Ungradable("A folder of the submission is a link.") from None
            os.close(folder)
            folder = below
        return read_regular_file(parts[-1], folder)
    finally:
        os.close(folder)


def _shown(parts: tuple[str, ...]) -> str:
    return "/".join(printable(unicodedata.normalize("NFC", part)) for part in parts)


class _Listing(FileIO):
    """A file that refuses to be read in pieces larger than an archive's list of contents may be."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's."""
        _check_listing(size)
        return super().read(-1 if size is None else size) or b""


class _ListingInMemory(BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        _check_listing(size)
        return super().read(size)


def _check_listing(size: int | None) -> None:
    if size is not None and size > MAX_LISTING:
        raise Ungradable("The archive lists too many files.")


def files_of_zip(archive: bytes | IO[bytes]) -> list[File]:
    """The files of a zip archive, in its order.

    Raises:
        Ungradable: it is none, or lists too many files.
    """
    try:
        opened = zipfile.ZipFile(_ListingInMemory(archive) if isinstance(archive, bytes) else archive)
    except Ungradable:
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, OSError) as error:
        raise Ungradable("This is not a zip archive, or a broken one.") from error
    found: dict[str, list[zipfile.ZipInfo]] = {}
    for entry in opened.infolist():
        path = _path_of(entry)
        if not path.endswith("/") and not any(map(_is_nobodys, path.split("/"))):
            found.setdefault(path, []).append(entry)
    return [File(path, partial(_read_entry, opened, path, entries)) for path, entries in found.items()]


def _path_of(entry: zipfile.ZipInfo) -> str:
    """An entry's name in one form. Who packed without saying so in UTF-8 often used it all the same."""
    name = entry.orig_filename
    if not entry.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode()
        except UnicodeError:
            name = entry.orig_filename
    return printable(unicodedata.normalize("NFC", name)).replace("\\", "/") if "\0" not in name else printable(name)


def _read_entry(archive: zipfile.ZipFile, path: str, entries: list[zipfile.ZipInfo]) -> bytes:
    entry = entries[-1]
    if len({(twin.CRC, twin.file_size) for twin in entries}) > 1:
        raise Ungradable("The archive holds two different files of this name.")
    if "\0" in entry.orig_filename or re.match(r"/|[A-Za-z]:", path) or ".." in path.split("/"):
        raise Ungradable("Its name in the archive leads out of the archive.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise Ungradable("It is a link, not a file; hand in the file itself.")
    if kind not in (0, stat.S_IFREG):
        raise Ungradable("It is not an ordinary file.")
    if entry.flag_bits & 0x1:
        raise Ungradable("It is locked with a password.")
    if entry.compress_type not in PACKED:
        raise Ungradable("It is packed in a way that is not opened here; pack it as an ordinary zip.")
    large = entry.file_size > MAX_BYTES // 20
    if entry.file_size > MAX_BYTES or (large and entry.file_size > MAX_RATIO * max(1, entry.compress_size)):
        raise Ungradable(f"It unpacks to {entry.file_size >> 20} MiB: {MAX_BYTES >> 20} are read, and no bombs.")
    try:
        with archive.open(entry) as file:
            raw = file.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Ungradable("It is damaged: it cannot be unpacked.") from error
    return raw


def _is_nobodys(name: str) -> bool:
    return (name.startswith(".") and name not in (".", "..")) or name in NOBODYS
