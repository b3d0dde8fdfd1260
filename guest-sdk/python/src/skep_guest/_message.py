"""The input and the output of a turn: a media type and bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _json
from ._failure import Failure

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Input:
    """A message that was accepted for this worker."""

    content_type: str
    """The media type from the sender, `application/octet-stream` by default. The body is not
    checked against it."""

    body: bytes
    """The message itself, at most `input_bytes` long (4 MiB by default)."""

    def text(self) -> str:
        """Returns the body as text, whatever its media type. Raises the failure `not-text` if it is
        not UTF-8."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise Failure("not-text", f"the body is not text: {error}") from None

    def json(self) -> Any:
        """Returns the value that the body is as JSON, whatever its media type. Raises the failure
        `not-json` if it is none."""
        try:
            return _json.loads(self.body)
        except ValueError as error:
            raise Failure("not-json", f"the body is not JSON: {error}") from None


@dataclass(frozen=True)
class Output:
    """The answer to an input."""

    body: bytes
    """The answer itself, at most `output_bytes` long (4 MiB by default)."""

    content_type: str = BYTES
    """The media type of `body`."""

    def text(self) -> str:
        """Returns the body as text."""
        return self.body.decode()

    def json(self) -> Any:
        """Returns the value that the body is as JSON."""
        return _json.loads(self.body)

    @classmethod
    def of(cls, value: object, content_type: str | None = None) -> Output:
        """Makes an answer from text, bytes, a value for JSON or another answer."""
        made = _converted(value)
        return made if content_type is None else cls(made.body, content_type)


def to_bytes(value: object, name: str) -> bytes:
    """Returns text or bytes as bytes. `name` names the argument in the error."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{name} is str or bytes, not {type(value).__name__}")


def _converted(value: object) -> Output:
    if isinstance(value, Output):
        return Output(to_bytes(value.body, "Output.body"), _media_type(value.content_type))
    if isinstance(value, str):
        return Output(value.encode(), TEXT)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Output(bytes(value), BYTES)
    if isinstance(value, (bool, int, float, list, tuple, dict)):
        return Output(_json.dumps(value).encode(), JSON)
    raise TypeError(f"{_named(value)} is not an answer: use str, bytes, a JSON value or Output")


def _media_type(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"Output.content_type is str, not {type(value).__name__}")
    return value


def _named(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
