"""The requests of an HTTP worker, and its responses: whole bodies both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import _json
from ._failure import Failure
from ._message import BYTES, JSON, TEXT, to_bytes

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Raw = tuple[int, list[tuple[str, bytes]], bytes]


@dataclass(frozen=True)
class Request:
    """An HTTP request for this worker. Its body is complete."""

    method: str
    """The method, as the client spelled it."""
    path_with_query: str
    """The path and the query, as the client sent them: `/notes?page=2`."""
    headers: list[tuple[str, str]]
    """The headers in order, with names in lower case. `host` is in `authority`."""
    body: bytes
    """The body, at most `input_bytes` long (4 MiB by default)."""
    scheme: str = "http"
    """`http` or `https`."""
    authority: str = "localhost"
    """The host that the client asked for, with its port unless that is the scheme's own."""

    @property
    def path(self) -> str:
        """The path, still in the client's percent-encoding."""
        return self.path_with_query.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        """The names and values of the query, decoded. The last value of a name counts."""
        return _pairs(self.path_with_query.partition("?")[2])

    def form(self) -> dict[str, str]:
        """Returns the names and values of a body of the type `application/x-www-form-urlencoded`."""
        return _pairs(self.text())

    def header(self, name: str) -> str | None:
        """Returns the first header with this name, in any case, or None."""
        return _header(self.headers, name)

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
class Response:
    """The response to a request. The client gets 502 instead of one that HTTP does not allow."""

    body: str | bytes = b""
    """The whole body, at most `output_bytes` long (4 MiB by default)."""
    status: int = 200
    """The status, from 200 to 599."""
    headers: Headers = ()
    """The headers, as a mapping or as pairs."""
    content_type: str | None = None
    """The media type of the body. Without one, that of text is `text/plain; charset=utf-8`."""

    def header(self, name: str) -> str | None:
        """Returns the first header with this name, in any case, or None."""
        return _header([(name, value.decode()) for name, value in self.raw()[1]], name)

    def text(self) -> str:
        """Returns the body as text."""
        return to_bytes(self.body, "Response.body").decode()

    def json(self) -> Any:
        """Returns the value that the body is as JSON."""
        return _json.loads(to_bytes(self.body, "Response.body"))

    def raw(self) -> Raw:
        """Returns status, headers and body as the host takes them."""
        pairs = list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        content_type = self.content_type
        if content_type is None and isinstance(self.body, str):
            content_type = TEXT
        if content_type is not None and _header(pairs, "content-type") is None:
            pairs.insert(0, ("content-type", content_type))
        if not isinstance(self.status, int) or not 0 <= self.status <= 0xFFFF:
            raise ValueError(f"Response.status is a number from 200 to 599, not {self.status!r}")
        headers = [(_text(name), _text(value).encode()) for name, value in pairs]
        return int(self.status), headers, to_bytes(self.body, "Response.body")

    @classmethod
    def of(cls, value: object) -> Response:
        """Makes a response from text, bytes, a value for JSON or another response."""
        if isinstance(value, Response):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return cls(bytes(value), content_type=BYTES)
        if isinstance(value, (bool, int, float, list, tuple, dict)):
            return cls(_json.dumps(value), content_type=JSON)
        named = "None" if value is None else f"a value of type {type(value).__name__}"
        raise TypeError(f"{named} is not a response: use str, bytes, a JSON value or Response")


def request_of(raw: Any) -> Request:
    """Makes a request from the host's record."""
    headers = [(name, _decoded(value)) for name, value in raw.headers]
    return Request(raw.method, raw.path_with_query, headers, raw.body, raw.scheme, raw.authority)


def _pairs(text: str) -> dict[str, str]:
    from urllib.parse import parse_qsl  # not needed by workers that are no HTTP workers

    return dict(parse_qsl(text, keep_blank_values=True))


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a header is a pair of str, not {value!r}")
    return value


def _header(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    return next((value for other, value in headers if other.lower() == name.lower()), None)
