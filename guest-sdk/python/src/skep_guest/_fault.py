"""Exceptions that an author did not expect, as failures that name the line in his source."""

from __future__ import annotations

import os
import sys
import traceback
from types import FrameType, TracebackType

from ._failure import Failure

LONGEST = 4_000
"""The longest message of a failure, in characters."""

SHOWN = 20
"""The number of calls that a traceback shows at its beginning and at its end, if it is long."""

LIBRARIES = [os.path.dirname(os.path.abspath(file)) for file in (__file__, traceback.__file__)]
"""The folders of the SDK and of the standard library, whose files are not the author's."""

_ABSENT = {
    "ssl": "a worker has no sockets and no TLS; for HTTP use skep_guest.http",
    "_ssl": "a worker has no sockets and no TLS; for HTTP use skep_guest.http",
    "_ctypes": "native libraries cannot be loaded in a worker",
    "ctypes": "native libraries cannot be loaded in a worker",
    "_multiprocessing": "a worker is one process",
    "_posixsubprocess": "a worker cannot start programs",
    "_bz2": "the worker's Python has no bz2; zlib and gzip work",
    "_lzma": "the worker's Python has no lzma; zlib and gzip work",
    "_zstd": "the worker's Python has no zstd; zlib and gzip work",
    "_tkinter": "a worker has no screen",
    "_curses": "a worker has no terminal",
}


def failure(error: BaseException) -> Failure:
    """Returns the failure `exception` for an error, and prints its traceback on stderr."""
    print_traceback(error)
    return Failure("exception", describe(error))


def describe(error: BaseException) -> str:
    """Returns type, text, file, line and function of an error, and a next step where one is known."""
    parts = [f"{type(error).__name__}: {_text(error)}".rstrip(": ")]
    place = location(error)
    if place is not None:
        parts.append(f" ({place})")
    step = hint(error)
    if step is not None:
        parts.append(f"; {step}")
    return _printable("".join(parts))


def location(error: BaseException) -> str | None:
    """Returns where in the author's source an error came up: `src/worker.py:3 in handle`."""
    if isinstance(error, SyntaxError) and error.filename:
        column = f":{error.offset}" if error.offset else ""
        return f"{shown(error.filename)}:{error.lineno}{column}"
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [item for item in frames if is_authors(item[0].f_code.co_filename)]
    return _place(*own[-1]) if own else None


def hint(error: BaseException) -> str | None:
    """Returns the next step for an error that has a known cause in a worker."""
    if isinstance(error, ModuleNotFoundError):
        return absent(error.name or "")
    if isinstance(error, RecursionError):
        return f"a function calls itself without an end, or deeper than {sys.getrecursionlimit()} calls"
    if isinstance(error, MemoryError):
        return "the worker's memory is used up: hold less at once, or raise memory_bytes in [limits]"
    if isinstance(error, SystemExit):
        return "a service does not exit: return an answer, or raise a Failure"
    return None


def absent(module: str) -> str:
    """Returns why a module is not there, and the next step."""
    known = _ABSENT.get(module) or _ABSENT.get(module.partition(".")[0])
    if known is not None:
        return known
    return (
        "a worker has the modules of src/ and of requirements.txt that were there when it was "
        "built, and most of the standard library: add the package to requirements.txt and build "
        "again"
    )


def print_traceback(error: BaseException) -> None:
    """Prints an error with its traceback on stderr, from the author's first line
    on. One that has no line of the author is printed without."""
    try:
        lines = traceback.format_exception(type(error), error, _from_author(error.__traceback__))
        text = "".join(_shortened(lines))
        print(_printable(text, 100_000), end="", file=sys.stderr, flush=True)
    except Exception:  # an error whose text cannot be made must not hide the failure
        print(f"{type(error).__name__} (its traceback cannot be shown)", file=sys.stderr)


def _shortened(lines: list[str]) -> list[str]:
    """Leaves out the middle of a long traceback, such as that of an endless recursion."""
    if len(lines) <= 2 * SHOWN:
        return lines
    return [*lines[:SHOWN], f"  … {len(lines) - 2 * SHOWN} calls left out …\n", *lines[-SHOWN:]]


def is_authors(file: str) -> bool:
    """Tells the author's files from those of the SDK, of the standard library and of packages."""
    if file.startswith("<") or "site-packages/" in file:
        return False
    return not any(file.startswith(folder + os.sep) for folder in LIBRARIES)


def shown(file: str) -> str:
    """Returns a file name as an author knows it: relative to the working directory if inside."""
    inside = os.getcwd() + os.sep
    return file.removeprefix(inside) if len(inside) > 2 else file


def _place(frame: FrameType, line: int) -> str:
    return f"{shown(frame.f_code.co_filename)}:{line} in {frame.f_code.co_name}"


def _from_author(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and not is_authors(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first


def _text(error: BaseException) -> str:
    try:
        if isinstance(error, SyntaxError):
            return error.msg
        return str(error)
    except Exception:  # the author's own __str__ failed
        return "(its text cannot be made)"


def _printable(text: str, longest: int = LONGEST) -> str:
    if len(text) > longest:
        text = text[:longest] + "…"
    return text.encode("utf-8", "backslashreplace").decode()
