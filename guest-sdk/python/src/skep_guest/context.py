"""The identity of the worker, and the current input."""

from __future__ import annotations

from ._host import host


def runtime_id() -> str:
    """Returns the id of the runtime that this worker belongs to."""
    return host.runtime_id()


def worker_id() -> str:
    """Returns this worker's id within its runtime, a UUID."""
    return host.worker_id()


def input_id() -> str | None:
    """Returns the id of the current input, or None outside of a turn."""
    return host.input_id()


def attempt() -> int:
    """Returns the number of this attempt at the input, from 1. It is above 1 if the host died during
    an earlier attempt: that attempt's writes to `state` are gone, its files are not."""
    return host.attempt()


def remaining() -> float | None:
    """Returns the time left until the turn's deadline, in seconds, or None if there is no
    deadline."""
    milliseconds = host.remaining_ms()
    return None if milliseconds is None else milliseconds / 1000
