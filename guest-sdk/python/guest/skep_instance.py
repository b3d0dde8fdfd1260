"""What a component does around the author's code: its streams, its snapshot, its first call."""

import gc
import io
import os
import sys
import tempfile

from skep_guest import _component, _fault

# The calls that a worker may nest. A call that goes through C (`__getattr__`, `sorted(key=)`) takes
# 2 KiB of the host's stack of 512 KiB; past it there is no RecursionError, and the instance ends.
RECURSION_LIMIT = 220
_BUILD_LIMIT = sys.getrecursionlimit()


def wake():
    """Prepares an instance before its first call: the snapshot has what belonged to the build."""
    os.environ.setdefault("TMPDIR", "/data")
    os.environ.setdefault("HOME", "/data")


def seal(paths):
    """Makes the interpreter ready for its snapshot, with the search path of a running instance."""
    sys.path[:] = paths
    sys.path_importer_cache.clear()
    tempfile.tempdir = None
    _component.built = True
    sys.dont_write_bytecode = True
    sys.stdout = sys.__stdout__ = _stream(1)
    sys.stderr = sys.__stderr__ = _stream(2)
    gc.collect()
    gc.freeze()


def limit_recursion():
    """Makes an endless recursion an exception. An author's own limit stays."""
    if sys.getrecursionlimit() == _BUILD_LIMIT:
        sys.setrecursionlimit(RECURSION_LIMIT)


def _stream(descriptor):
    # The interpreter of the build is unbuffered, which would make every piece a call of the host.
    buffer = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)


def flush():
    """Writes what the author has printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # the author closed it, or the host takes no more


def use_loop():
    """Imports the event loop, and makes `asyncio.run` use it."""
    from skep_guest import _loop

    _loop.install()


__all__ = ["flush", "limit_recursion", "seal", "use_loop", "wake"]

_ = _fault  # in the snapshot from the beginning, as it is needed when memory is short
