"""Unit tests for workers without wasm: the same file runs under unittest or pytest, on an in-memory
double of the host.

    import unittest
    import worker                      # src/worker.py
    from skep_guest import testing

    class Test(unittest.TestCase):
        def setUp(self):
            testing.reset()

        def test_it_counts(self):
            self.assertEqual(testing.send("hello").text(), "1")
            self.assertEqual(testing.state()["count"], b"1")

`send` does what the host does around a turn; calling the worker function directly does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import _double, _turn
from ._data_dir import data_dir
from ._failure import Failure
from ._message import TEXT, Input, Output, to_bytes
from ._web import Headers, Request as WebRequest, Response as WebResponse
from ._worker import ConnectReason, Handler, WebHandler, marks
from .http import Request, Response

__all__ = [
    "Event",
    "connected",
    "data_dir",
    "disconnecting",
    "events",
    "handle",
    "request",
    "reset",
    "respond",
    "send",
    "set_attempt",
    "set_config",
    "set_fetch",
    "set_identity",
    "set_remaining",
    "state",
]


@dataclass(frozen=True)
class Event:
    """An emitted event."""

    kind: str
    """The worker's name for it."""
    content_type: str
    """The media type of `body`."""
    body: bytes
    """The content."""

    def text(self) -> str:
        """Returns the body as text."""
        return self.body.decode()


def reset() -> None:
    """Resets the double, with `/data`: empty state, no config, a fixed identity."""
    _double.reset()


def set_identity(runtime_id: str, worker_id: str) -> None:
    """Sets the results of `context.runtime_id` and `context.worker_id`."""
    _double.double.runtime_id = runtime_id
    _double.double.worker_id = worker_id


def set_config(values: Mapping[str, str]) -> None:
    """Replaces the config bundle."""
    _double.double.config = dict(values)


def set_attempt(attempt: int) -> None:
    """Sets the result of `context.attempt`, which is 1 by default."""
    _double.double.attempt = attempt


def set_remaining(seconds: float | None) -> None:
    """Sets the result of `context.remaining`, to the millisecond; it is 30 seconds by default. The
    time does not advance by itself."""
    _double.double.remaining_ms = None if seconds is None else round(seconds * 1000)


def set_fetch(answer: Callable[[Request], Response] | None) -> None:
    """Sets the function that answers `skep_guest.http`. Without one, requests are denied."""
    _double.double.fetch = answer


def state() -> dict[str, bytes]:
    """Returns the worker's keys and values."""
    return dict(_double.double.state)


def events() -> list[Event]:
    """Returns all emitted events in order, with those of failed turns."""
    return list(_double.double.events)


def send(body: object = "", content_type: str | None = None, worker: Handler | None = None) -> Output:
    """Runs one turn with text, bytes or a value for JSON, as `handle` does."""
    message = Output.of(body, content_type)
    return handle(Input(message.content_type, message.body), worker)


def handle(input: Input, worker: Handler | None = None) -> Output:
    """Runs one turn as the host does: with an input id, an empty set of events, and a rollback of the
    state if the worker fails. Events stay. Raises the worker's failure; any other exception is the
    failure `exception`. `worker` is the function to call, by default the one marked `@worker`."""
    handler = worker or _only("worker")
    double = _double.double
    double.settle_emitted()
    double.inputs += 1
    double.input_id = f"00000000-0000-7000-8000-{double.inputs:012}"
    double.append("input", input.content_type, input.body)
    before = dict(double.state)
    try:
        output = _turn.handle(handler, input)
    except Failure as failure:
        double.state = before
        _end(double, "failure", TEXT, str(failure).encode())
        raise
    _end(double, "output", output.content_type, output.body)
    return output


def request(
    method: str,
    path_with_query: str,
    body: str | bytes = b"",
    *,
    headers: Headers = (),
    worker: WebHandler | None = None,
) -> WebResponse:
    """Passes one request to the function marked `@web`, as `respond` does."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    pairs = [(name.lower(), value) for name, value in pairs]
    return respond(WebRequest(method, path_with_query, pairs, to_bytes(body, "body")), worker)


def respond(request: WebRequest, worker: WebHandler | None = None) -> WebResponse:
    """Passes one request to the function marked `@web` as the host does: without an input id, and with a
    rollback of the state if it fails. Events stay. Raises the worker's failure; any other exception is
    the failure `exception`."""
    handler = worker or _only("web")
    double = _double.double
    double.settle_emitted()
    before = dict(double.state)
    try:
        status, headers, body = _turn.respond(handler, request)
    except Failure:
        double.state = before
        raise
    finally:
        double.settle_emitted()
    return WebResponse(body, status, [(name, value.decode()) for name, value in headers])


def connected(reason: ConnectReason = ConnectReason.CREATED) -> None:
    """Calls the hook for a new instance, in which the state cannot be written."""
    with _without_writes():
        _turn.connected(reason)


def disconnecting() -> None:
    """Calls the hook before an instance is dropped, in which the state cannot be written."""
    with _without_writes():
        _turn.disconnecting()


def _only(mark: str) -> Callable[..., Any]:
    misuses = marks.misuses(mark)
    if misuses:
        raise TypeError("; ".join(str(misuse) for misuse in misuses))
    return marks.functions[mark][0]


def _end(double: _double.Double, kind: str, content_type: str, body: bytes) -> None:
    double.settle_emitted()
    double.append(kind, content_type, body)
    double.input_id = None


@contextmanager
def _without_writes() -> Iterator[None]:
    _double.double.state_writable = False
    try:
        yield
    finally:
        _double.double.state_writable = True


