"""Reading of a file only what libraries need for its table of contents, and what they raise.

Compound files (MS-CFB) are those of Office before packages, and what it hides encrypted ones in.
"""

import errno
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast
from xml.parsers import expat

from uploads.content_refused import ContentRefused, Reason

# What a table of contents may come to: zipfile and olefile make some twenty times that of it. The
# largest file of ours that is honest has less than one.
MAX_TABLE_BYTES = 4 * 1024**2

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

# Whatever the libraries raise on broken files. The net is wide: a file that got through it would be
# tried again for ever. MemoryError isn't in it: what they read is limited: the machine lacks it.
_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    expat.ExpatError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def has_stream(file: IO[bytes], names: tuple[str, ...]) -> bool:
    """Say whether it is a compound file (MS-CFB) with one of these streams."""
    import olefile

    is_compound = file.read(len(OLE)) == OLE
    if not is_compound:
        return False
    with for_a_library(file) as excerpt:
        compound = olefile.OleFileIO(cast("IO[bytes]", excerpt))
        return any(compound.exists(name) for name in names)


@contextmanager
def for_a_library(file: IO[bytes]) -> Iterator["Excerpt"]:
    """Have a library read a file, and take what it raises to be the file's fault, if it is."""
    excerpt = Excerpt(file)
    try:
        yield excerpt
    except _Unreadable as unreadable:
        raise unreadable.error from None
    except _BROKEN as error:
        raise ContentRefused(Reason.CORRUPT) from error


class _Unreadable(Exception):
    """The machine failed to read. Unlike an OSError, libraries don't take this for the file's."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


class Excerpt:
    """A file of which only so much is read in all, by libraries that would read all they find.

    Seeking is arithmetic: they seek to wherever a file says, which fails for other reasons.
    """

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.length = file.seek(0, io.SEEK_END)
        self._at = 0
        self._left = MAX_TABLE_BYTES

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = (0, self._at, self.length)[whence] + offset
        if at < 0:
            raise OSError(errno.EINVAL, "before the beginning")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        most = self._left + 1
        try:
            self._file.seek(min(self._at, self.length))
            found = self._file.read(most if size < 0 else min(size, most))
        except OSError as error:
            raise _Unreadable(error) from error
        self._at += len(found)
        self._left -= len(found)
        if self._left < 0:
            raise ContentRefused(Reason.TOO_COMPLEX)
        return found

    def seekable(self) -> bool:
        return True
