"""This module writes a file whole or not at all, and finds the folder of cached files."""

import gzip
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from resbench.errors import OutputError

GZIP = b"\x1f\x8b"
"""What gzip has packed begins so."""

RUNS = Path("runs")
"""Commands keep trainings here where nothing else is said."""


def is_file(path: Path) -> bool:
    """Tell whether a file is there. Nothing is under a name that no system takes, such as one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there, as ``is_file`` does."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Tell whether anything is there, as ``is_file`` does."""
    try:
        return path.exists()
    except OSError:
        return False


def check_writable(path: Path) -> None:
    """Raise OutputError where a file cannot be written, before hours are spent on its content."""
    through = is_there(path) and not is_folder(path) and not is_file(path)  # a device or a pipe
    if not through and (is_folder(path) or not is_folder(path.parent) or not os.access(path.parent, os.W_OK)):
        why = "it is a folder" if is_folder(path) else f"{path.parent} is no folder that can be written"
        raise OutputError(f"cannot write {path}: {why}; name a file in a folder that can be written")


def write(path: Path, content: str | bytes) -> None:
    """Replace the file in one step: a reader sees the old content or the new, also after a crash.

    Raises OutputError. A link, device or pipe is written through, never replaced.
    """
    data = content.encode() if isinstance(content, str) else content
    beside = path.parent / f".{path.name[:40]}.{os.urandom(8).hex()}"
    try:
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            with suppress(BrokenPipeError):  # its reader has enough
                path.write_bytes(data)
            return
        beside.write_bytes(data)
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise OutputError(
            f"cannot write {path}: {error.strerror or error}; name a file in a folder that can be written"
        ) from None


def cache(name: str) -> Path | None:
    """Return the path of a cached file; it is None where the user has no home."""
    with suppress(RuntimeError):
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
        return Path(base, "resbench", name)
    return None


def keep(path: Path | None, text: str) -> None:
    """Write a cached file if that is possible; if it is not, the next call measures again."""
    if path:
        with suppress(OSError, OutputError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, text)


class Unfit(ValueError):
    """A file is packed twice, or holds too much."""


MOST_BYTES = 2**27
"""A file of results or runs holds no more, also once it is unpacked: no result of ours comes near."""


def suffix_of(path: Path) -> str:
    """Return the ending that says what a file holds, in small letters: of ``a.json.gz`` that is ``.json``."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def packed(path: Path, text: str) -> bytes:
    """Return what a file of this name holds of a text: it is gzipped where the name ends in .gz."""
    content = text.encode()
    return gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content


def unpacked(path: Path) -> bytes:
    """Return what a file holds, plain or gzipped. Raises Unfit, and OSError, EOFError and others where it was cut off.

    No more is read, or unpacked, than may be in it.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    packed = data.startswith(GZIP)
    if packed:
        with gzip.GzipFile(fileobj=BytesIO(data)) as unpacking:
            data = unpacking.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Unfit(f"it holds more than {MOST_BYTES >> 20} MiB, which nothing does that resbench writes")
    if packed and data.startswith(GZIP):
        raise Unfit("it is gzipped twice: expected once; gunzip it, and name what comes out")
    return data


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one run at a time; one that is killed lets it go. Raises OutputError.

    A folder that did not exist, and in which nothing was written, does not exist again.
    """
    from filelock import FileLock, Timeout

    lock, made = folder / ".lock", not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                if made and [*folder.iterdir()] == [lock]:
                    lock.unlink()
                    folder.rmdir()
    except Timeout:
        raise OutputError(f"another run works in {folder}: wait for it, or name another folder with --dir") from None
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}; name a folder with --dir") from None


@lru_cache
def own_version() -> str | None:
    """Return the version of resbench that writes; None where it was never installed, as in a bare checkout."""
    from importlib.metadata import PackageNotFoundError, version  # a hundredth of a second, which few commands need

    try:
        return version("resbench")
    except PackageNotFoundError:
        return None
