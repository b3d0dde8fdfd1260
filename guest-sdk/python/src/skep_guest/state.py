"""The worker's durable keys and values. All writes of a turn are committed together with its
outcome, or not at all; reads see the turn's own writes.

The failures are `state-invalid-key` (a key is empty or longer than 512 bytes), `state-too-large`,
`state-not-text`, `state-not-json` and `state-unavailable`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

from . import _json
from ._failure import Failure
from ._host import host
from ._message import to_bytes


def get(key: str) -> bytes | None:
    """Returns the value of a key, or None."""
    return host.state_get(_text(key, "a state key"))


@overload
def get_text(key: str) -> str | None: ...
@overload
def get_text(key: str, default: str) -> str: ...
def get_text(key: str, default: str | None = None) -> str | None:
    """Returns the value of a key as text, or the default."""
    value = get(key)
    if value is None:
        return default
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Failure("state-not-text", f"the state value of {key} is not text") from None


def get_json(key: str, default: Any = None) -> Any:
    """Returns the value of a key from JSON, or the default."""
    value = get(key)
    if value is None:
        return default
    try:
        return _json.loads(value)
    except ValueError as error:
        raise Failure("state-not-json", f"the state value of {key} is not JSON: {error}") from None


def set(key: str, value: str | bytes) -> None:
    """Sets a key to text or bytes."""
    host.state_set(_text(key, "a state key"), to_bytes(value, "a state value"))


def set_json(key: str, value: Any) -> None:
    """Sets a key to a value as JSON."""
    set(key, _json.dumps(value))


def delete(key: str) -> bool:
    """Removes a key. Returns True if it existed."""
    return host.state_delete(_text(key, "a state key"))


def keys(prefix: str = "") -> Iterator[str]:
    """Lists the keys that begin with a prefix, in ascending order of their bytes. They are fetched
    from the host in pages of at most 1,000."""
    prefix = _text(prefix, "a prefix")
    cursor: str | None = None
    while True:
        page, cursor = host.state_list(prefix, cursor)
        yield from page
        if cursor is None:
            return


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} is str, not {type(value).__name__}")
    value.encode()  # the host takes no lone surrogates
    return value
