"""The host outside of wasm: an in-memory double on which a test runs. `skep_guest.testing` is its
public interface.

It follows the rules that a worker can notice (keys, kinds, limits, rollback), but nothing is durable
and there is no deadline.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ._failure import Failure

if TYPE_CHECKING:
    from .http import Request, Response
    from .testing import Event
    from .transcript import Entry, Page

STATE_BYTES = 64 << 20
EVENT_BYTES = 256 << 10
EVENTS_PER_TURN = 10_000
KEY_BYTES = 512
PAGE = 1_000
KIND = re.compile(r"[a-z0-9._-]{1,64}", re.ASCII)


@dataclass
class Double:
    """The state of the double."""

    runtime_id: str = "00000000-0000-7000-8000-000000000001"
    worker_id: str = "00000000-0000-7000-8000-000000000002"
    attempt: int = 1
    remaining_ms: int | None = 30_000
    config: dict[str, str] = field(default_factory=dict)
    state: dict[str, bytes] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    """The transcript; an entry's `seq` is its position, from 1."""
    emitted: list[Entry] = field(default_factory=list)
    """The events of the running turn; their `seq` is 0 until it ends."""
    events: list[Event] = field(default_factory=list)
    """All events ever emitted."""
    input_id: str | None = None
    inputs: int = 0
    state_writable: bool = True
    fetch: Callable[[Request], Response] | None = None
    scratch: tempfile.TemporaryDirectory[str] | None = None

    def append(self, kind: str, content_type: str, body: bytes) -> None:
        """Appends an entry of the running turn to the transcript."""
        self._settle(self.entry(kind, None, content_type, body))

    def settle_emitted(self) -> None:
        """Appends the emitted events to the transcript."""
        emitted, self.emitted = self.emitted, []
        for entry in emitted:
            self._settle(entry)

    def entry(self, kind: str, event: str | None, content_type: str, body: bytes) -> Entry:
        """Makes an entry without a position."""
        from .transcript import Entry

        now = datetime.now(timezone.utc)
        return Entry(0, now, kind, event, self.input_id, content_type, body)

    def _settle(self, entry: Entry) -> None:
        self.entries.append(replace(entry, seq=len(self.entries) + 1))


double = Double()


def reset() -> None:
    """Makes a new double."""
    global double
    if double.scratch is not None:
        double.scratch.cleanup()
    double = Double()


def runtime_id() -> str:
    return double.runtime_id


def worker_id() -> str:
    return double.worker_id


def input_id() -> str | None:
    return double.input_id


def attempt() -> int:
    return double.attempt


def remaining_ms() -> int | None:
    return double.remaining_ms


def config_get(key: str) -> str | None:
    return double.config.get(key)


def config_all() -> list[tuple[str, str]]:
    return sorted(double.config.items())


def data_dir() -> str:
    if double.scratch is None:
        double.scratch = tempfile.TemporaryDirectory(prefix="skep-guest-")
    return double.scratch.name


def state_get(key: str) -> bytes | None:
    _check_key(key)
    return double.state.get(key)


def state_set(key: str, value: bytes) -> None:
    _check_key(key)
    _check_writable()
    others = sum(_size(k, v) for k, v in double.state.items() if k != key)
    if others + _size(key, value) > STATE_BYTES:
        message = f"the write would take the state past its limit of {STATE_BYTES} bytes"
        raise Failure("state-too-large", message)
    double.state[key] = value


def state_delete(key: str) -> bool:
    _check_key(key)
    _check_writable()
    return double.state.pop(key, None) is not None


def state_list(prefix: str, cursor: str | None) -> tuple[list[str], str | None]:
    keys = [k for k in double.state if k.startswith(prefix)]
    keys.sort(key=str.encode)
    if cursor is not None:
        keys = [key for key in keys if key.encode() > cursor.encode()]
    page = keys[:PAGE]
    return page, page[-1] if len(keys) > PAGE else None


def emit(kind: str, content_type: str, body: bytes) -> None:
    from .testing import Event

    if not KIND.fullmatch(kind):
        message = "the event's kind is not 1 to 64 characters of a-z, 0-9, -, _ and ."
        raise Failure("transcript-invalid-kind", message)
    if len(body) > EVENT_BYTES:
        raise Failure("transcript-too-large", f"the event is longer than {EVENT_BYTES} bytes")
    if len(double.emitted) >= EVENTS_PER_TURN:
        message = f"this turn has emitted its {EVENTS_PER_TURN} events"
        raise Failure("transcript-too-many", message)
    double.emitted.append(double.entry("event", kind, content_type, body))
    double.events.append(Event(kind, content_type, body))


def transcript_read(after: int, limit: int) -> Page:
    from .transcript import Page

    start = min(after, len(double.entries))
    end = min(start + min(limit, PAGE), len(double.entries))
    return Page(double.entries[start:end], end if end < len(double.entries) else None)


def fetch(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes, timeout_ms: int | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    from .http import Request

    if double.fetch is None:
        message = f"the request is not allowed: no grant for {url}; in a test use testing.set_fetch"
        raise Failure("fetch-denied", message)
    seconds = None if timeout_ms is None else timeout_ms / 1000
    response = double.fetch(Request(method, url, headers, body, seconds))
    return response.status, list(response.headers), response.body


def _size(key: str, value: bytes) -> int:
    return len(key.encode()) + len(value)


def _check_key(key: str) -> None:
    if not 1 <= len(key.encode()) <= KEY_BYTES:
        raise Failure("state-invalid-key", "the state key is empty or longer than 512 bytes")


def _check_writable() -> None:
    if not double.state_writable:
        message = "the state is unavailable: state cannot be written outside of a turn"
        raise Failure("state-unavailable", message)
