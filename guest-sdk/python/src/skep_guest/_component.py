"""The host as a component sees it: the imports of its world, in the SDK's types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from componentize_py_types import Err
from wit_world.imports import config as _config
from wit_world.imports import context as _context
from wit_world.imports import state as _state
from wit_world.imports import transcript as _transcript

from ._failure import Failure

try:
    from wit_world.imports import fetch as _fetch
except ImportError:  # a world without it
    _fetch = None

built = False
"""False while the component is built. There is no host yet, and a call of it would be a trap."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_STATE = {
    "InvalidKey": ("state-invalid-key", "the state key is empty or longer than 512 bytes"),
    "TooLarge": ("state-too-large", "the write would take the state past its limit of {} bytes"),
    "Unavailable": ("state-unavailable", "the state is unavailable: {}"),
}
_TRANSCRIPT = {
    "TooLarge": ("transcript-too-large", "the event is longer than {} bytes"),
    "TooMany": ("transcript-too-many", "this turn has emitted its {} events"),
    "InvalidKind": (
        "transcript-invalid-kind",
        "the event's kind is not 1 to 64 characters of a-z, 0-9, -, _ and .",
    ),
    "Unavailable": ("transcript-unavailable", "the transcript is unavailable: {}"),
}
_FETCH = {
    "InvalidRequest": ("fetch-invalid-request", "the request is not valid: {}"),
    "Denied": ("fetch-denied", "the request is not allowed: {}"),
    "TooLarge": ("fetch-too-large", "the request or the response is longer than {} bytes"),
    "TimedOut": ("fetch-timed-out", "the request took longer than its time"),
    "Failed": ("fetch-failed", "the request failed: {}"),
}


def _from_host(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        _check_built()
        return function(*arguments)

    return call


def _check_built() -> None:
    if not built:
        raise RuntimeError("there is no host while the worker is built: use state, transcript, "
                           "config, context and http in functions only")


runtime_id = _from_host(_context.runtime_id)
worker_id = _from_host(_context.worker_id)
input_id = _from_host(_context.input_id)
attempt = _from_host(_context.attempt)
remaining_ms = _from_host(_context.remaining_ms)
config_get = _from_host(_config.get)
config_all = _from_host(_config.get_all)


def data_dir() -> str:
    return "/data"


def state_get(key: str) -> bytes | None:
    return _call(_STATE, _state.get, key)


def state_set(key: str, value: bytes) -> None:
    _call(_STATE, _state.set, key, value)


def state_delete(key: str) -> bool:
    return _call(_STATE, _state.delete, key)


def state_list(prefix: str, cursor: str | None) -> tuple[list[str], str | None]:
    page = _call(_STATE, _state.list, prefix, cursor)
    return page.keys, page.next


def emit(kind: str, content_type: str, body: bytes) -> None:
    _call(_TRANSCRIPT, _transcript.emit, kind, content_type, body)


def transcript_read(after: int, limit: int) -> Any:
    from .transcript import Entry, Page

    page = _call(_TRANSCRIPT, _transcript.read, after, limit)
    entries = [
        Entry(e.seq, _time(e.at_ms), e.kind, e.event, e.input_id, e.content_type, e.body)
        for e in page.entries
    ]
    return Page(entries, page.next)


def fetch(
    method: str, url: str, headers: list[tuple[str, str]], body: bytes, timeout_ms: int | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    if _fetch is None:
        raise Failure("fetch-denied", "this component was built without skep:worker/fetch: write "
                                      "`from skep_guest import http` in its source, and build again")
    request = _fetch.Request(method, url, headers, body, timeout_ms)
    response = _call(_FETCH, _fetch.send, request)
    return response.status, response.headers, response.body


def _call(errors: dict[str, tuple[str, str]], function: Callable[..., Any], *args: Any) -> Any:
    _check_built()
    try:
        return function(*args)
    except Err as error:
        case = type(error.value).__name__.removeprefix("Error_")
        code, message = errors[case]
        raise Failure(code, message.format(getattr(error.value, "value", None))) from None


def _time(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
