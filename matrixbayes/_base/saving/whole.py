"""Files that are there whole or not at all: made beside their place and moved there.

Contents
    replace_file    has a file written, and moved over what is there
    write_bytes     the same of bytes
    staging         a folder whose files move out of it when all are there
    clear           removes what processes left that were killed

What is not finished is called ``.NAME.0123456789abcdef.tmp``, beside NAME, and its process holds a
lock on it, which the system lets go of when the process ends in any way.  The next that saves to
the same name takes away what nobody holds: of a thousand saves that were killed one file is left.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl as _locks

    locks: Any = _locks
except ImportError:  # what is open cannot be removed there
    locks = None

UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)
LONGEST = 255 - len("..0123456789abcdef.tmp")  # bytes of a name that leave room for the rest
ADVICE = {
    errno.ENOSPC: "make room, or save elsewhere",
    errno.EDQUOT: "make room, or save elsewhere",
    errno.EFBIG: "such files may not be that large here; save elsewhere",
    errno.ENOENT: "make its folder first",
    errno.ENOTDIR: "what should be its folder is a file",
    errno.EACCES: "save elsewhere, or change the permissions of file or folder",
    errno.EPERM: "save elsewhere, or change the permissions of file or folder",
    errno.EROFS: "save elsewhere",
    errno.ENAMETOOLONG: "give a shorter name",
}


def replace_file(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Have a file written beside `path`, and moved there when it is on the disk.

    Parameters
    ----------
    path
        Where it is to be.  A link stays a link, and what it points to is replaced; what is replaced
        hands on its permissions, and its owner where that is allowed.
    write
        Writes everything into an open file, whose ``name`` is that of the unfinished one.

    Raises
    ------
    OSError
        It cannot be written, of the kind that the system says; what was there is as it was.
    """
    target = os.path.realpath(os.fsdecode(path))
    try:
        before = _regular(os.fsdecode(path), target)
        _replace(target, before, write)
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "")
        words = f"cannot write: {error.strerror or error}" + f" ({advice})" * bool(advice)
        raise OSError(error.errno or errno.EIO, words, target) from error


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to `path`, all or nothing."""
    replace_file(path, lambda file: file.write(data))


def _regular(path: str, target: str) -> os.stat_result | None:
    """What is there, which has to be a file that may be changed; None for nothing."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    if (found and stat.S_ISDIR(found.st_mode)) or not os.path.basename(path):
        raise IsADirectoryError(errno.EISDIR, "it is a folder; give the path of a file in it")
    if found and not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file, and only such are replaced")
    if found:
        os.close(os.open(target, os.O_WRONLY))  # what may not be changed is not replaced
    return found


def _replace(target: str, before: os.stat_result | None, write: Callable[[IO[bytes]], Any]) -> None:
    folder, name = os.path.split(target)
    clear(folder, name)
    file = _begin(folder, name)
    try:
        if before is not None:  # first: what nobody else may read they never could
            _hand_on(before, file.fileno())
        write(file)
        file.flush()
        os.fsync(file.fileno())
        if locks is None:  # nothing open is moved there
            file.close()
        os.replace(file.name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(file.name)
        raise
    finally:
        with suppress(OSError):  # which the first one has told
            file.close()
    sync_folder(folder)


@contextmanager
def staging(folder: str | os.PathLike[str], name: str) -> Iterator[Path]:
    """A folder to fill in `folder`; its files move there at the end, if all went well.

    Each moves whole.  One that is killed meanwhile leaves a folder that the next one clears.
    """
    target = os.path.realpath(os.fsdecode(folder))
    clear(target, name)
    while True:
        path = os.path.join(target, _unfinished(name))
        os.mkdir(path)
        held = None if locks is None else os.open(path, os.O_RDONLY)
        if held is None or _is_ours(held, path):
            break
        os.close(held)
    try:
        yield Path(path)
        for file in sorted(os.listdir(path)):
            os.replace(os.path.join(path, file), os.path.join(target, file))
        sync_folder(target)
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if held is not None:
            os.close(held)


def clear(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Remove what killed processes left of files of that name, or of all, in a folder."""
    if locks is None:
        return
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = UNFINISHED.fullmatch(entry.name)
            if found and (name is None or found[1] == _stem(name)):
                _remove_if_left(entry.path)


def _remove_if_left(path: str) -> None:
    """Remove an unfinished file or folder unless its process lives."""
    is_folder = os.path.isdir(path)
    flags = (os.O_RDONLY if is_folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError):
        descriptor = os.open(path, flags)
        try:
            locks.flock(descriptor, locks.LOCK_EX | locks.LOCK_NB)
            if is_folder:
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
        finally:
            os.close(descriptor)


def _begin(folder: str, name: str) -> IO[bytes]:
    """An unfinished file of that name, with the permissions that the user's umask gives."""
    while True:
        file = open(os.path.join(folder, _unfinished(name)), "xb")  # noqa: SIM115
        if _is_ours(file.fileno(), file.name):
            return file
        file.close()


def _unfinished(name: str) -> str:
    return f".{_stem(name)}.{secrets.token_hex(8)}.tmp"


def _stem(name: str) -> str:
    """The name, or a beginning of it that leaves room for more."""
    return name if len(os.fsencode(name)) <= LONGEST else name[: LONGEST // 4]


def _is_ours(descriptor: int, path: str) -> bool:
    """Hold what was made until this process ends or closes it, unless who clears came first."""
    try:
        if locks is not None:
            locks.flock(descriptor, locks.LOCK_EX | locks.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system: who clears gets none either
        return True
    return os.path.exists(path)


def _hand_on(before: os.stat_result, descriptor: int) -> None:
    """Owner and permissions of what is replaced."""
    now = os.fstat(descriptor)
    if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid) and hasattr(os, "fchown"):
        with suppress(OSError):
            os.fchown(descriptor, before.st_uid, before.st_gid)
    if hasattr(os, "fchmod"):
        os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & 0o777)


def sync_folder(path: str) -> None:
    """Wait until what a folder holds is on the disk, where the system can say so."""
    if os.name == "nt":
        return
    with suppress(OSError):  # some cannot be synced, or not be read; the files themselves are safe
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
