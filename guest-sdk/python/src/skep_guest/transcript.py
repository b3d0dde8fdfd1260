"""The worker's durable, append-only record: emit events, read entries.

The failures are `transcript-too-large`, `transcript-too-many`, `transcript-invalid-kind` and
`transcript-unavailable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ._host import host
from ._message import Output


@dataclass(frozen=True)
class Entry:
    """One entry of the record."""

    seq: int
    """The entry's position in the record. Positions have no gaps unless old entries were trimmed."""
    at: datetime
    """The time at which it was written, in UTC, to the millisecond."""
    kind: str
    """The kind: `input`, `event`, `output`, `log`, `failure` and so on."""
    event: str | None
    """The worker's name for the event, for an entry of kind `event`."""
    input_id: str | None
    """The input whose turn wrote it, if any."""
    content_type: str
    """The media type of `body`."""
    body: bytes
    """The content; empty for kinds that have none."""


@dataclass(frozen=True)
class Page:
    """A page of entries in ascending order of `seq`."""

    entries: list[Entry]
    """The entries."""
    next: int | None
    """The `after` of the next page, or None at the end."""


def emit(kind: str, body: object = "", content_type: str | None = None) -> None:
    """Appends an event of this turn; readers of the worker see it once it is durable. `kind` is the
    worker's name for it, such as `progress`; the body is text, bytes or a value for JSON. A turn
    that fails later keeps its events."""
    if not isinstance(kind, str):
        raise TypeError(f"the kind of an event is str, not {type(kind).__name__}")
    event = Output.of(body, content_type)
    host.emit(kind, event.content_type, event.body)


def read(after: int = 0, limit: int = 1000) -> Page:
    """Reads this worker's own entries with `seq` greater than `after` (0 for all): at most `limit`,
    and never more than 1,000. This turn's own events are not among them yet."""
    for name, value, bits in (("after", after, 64), ("limit", limit, 32)):
        if not isinstance(value, int) or not 0 <= value < 2**bits:
            raise ValueError(f"{name} is a whole number from 0 to 2^{bits} - 1, not {value!r}")
    return host.transcript_read(after, limit)
