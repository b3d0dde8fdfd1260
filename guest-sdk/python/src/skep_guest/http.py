"""HTTP with whole bodies, over the worker's `http` grants and secrets.

    from skep_guest import http

    answer = http.get("https://api.example.com/items")
    if answer.ok:
        items = answer.json()

A status of 400 or more is an answer, not an error. The failures are `fetch-invalid-request`,
`fetch-denied`, `fetch-too-large`, `fetch-timed-out` and `fetch-failed`. Redirects are followed, at
most 20; credentials are dropped where one leads to another origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from . import _json
from ._failure import Failure
from ._host import host
from ._message import JSON, TEXT, to_bytes

MOST_REDIRECTS = 20

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Pairs = list[tuple[str, str]]

_REDIRECTS = (301, 302, 303, 307, 308)
_OF_BODY = ("content-type", "content-length", "content-encoding", "content-language")
_CREDENTIALS = ("authorization", "cookie", "proxy-authorization")


@dataclass(frozen=True)
class Request:
    """A request, as `testing.set_fetch` gets it."""

    method: str
    url: str
    headers: Pairs
    body: bytes
    timeout: float | None
    """The time for the whole exchange, in seconds."""


@dataclass(frozen=True)
class Response:
    """The answer to a request."""

    status: int
    headers: Pairs
    body: bytes
    url: str = ""
    """The URL that answered, after redirects."""

    @property
    def ok(self) -> bool:
        """True for a status from 200 to 299."""
        return 200 <= self.status <= 299

    def header(self, name: str) -> str | None:
        """Returns the first header with this name, in any case, or None."""
        return _header(self.headers, name)

    def text(self) -> str:
        """Returns the body as text, in the charset of its content type, UTF-8 by default."""
        charset = _charset(self.header("content-type") or "")
        try:
            return self.body.decode(charset, "replace")
        except LookupError:
            return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Returns the value that the body is as JSON. Raises the failure `not-json` if it is none."""
        try:
            return _json.loads(self.body)
        except ValueError as error:
            raise Failure("not-json", f"the body of {self.url} is not JSON: {error}") from None


def get(url: str, *, headers: Headers = (), timeout: float | None = None) -> Response:
    """Sends a GET request."""
    return request("GET", url, headers=headers, timeout=timeout)


def post(
    url: str,
    body: str | bytes | None = None,
    *,
    json: object = None,
    headers: Headers = (),
    timeout: float | None = None,
) -> Response:
    """Sends a POST request with text, bytes or a value as JSON."""
    return request("POST", url, body, json=json, headers=headers, timeout=timeout)


def request(
    method: str,
    url: str,
    body: str | bytes | None = None,
    *,
    json: object = None,
    headers: Headers = (),
    timeout: float | None = None,
    follow: bool = True,
) -> Response:
    """Sends a request and returns the whole answer. `timeout` is in seconds; `follow=False` returns
    a redirect instead of following it."""
    current = _request(method, url, body, json, headers, timeout)
    for _ in range(MOST_REDIRECTS + 1):
        response = _send(current)
        target = response.header("location")
        if not follow or target is None or response.status not in _REDIRECTS:
            return response
        current = _redirected(current, response.status, target)
    raise Failure("fetch-failed", f"the request failed: {url} redirects more than {MOST_REDIRECTS} times")


def _request(
    method: str,
    url: str,
    body: str | bytes | None,
    json: object,
    headers: Headers,
    timeout: float | None,
) -> Request:
    pairs = _pairs(headers)
    content, media_type = _content(body, json)
    if media_type is not None and _header(pairs, "content-type") is None:
        pairs.append(("content-type", media_type))
    for name, value in (("method", method), ("url", url)):
        if not isinstance(value, str):
            raise TypeError(f"the {name} of a request is str, not {type(value).__name__}")
        value.encode()  # the host takes no lone surrogates
    return Request(method.upper(), urldefrag(url).url, pairs, content, timeout)


def _content(body: str | bytes | None, json: object) -> tuple[bytes, str | None]:
    if json is not None:
        if body is not None:
            raise TypeError("a request has a body or json, not both")
        return _json.dumps(json).encode(), JSON
    if body is None:
        return b"", None
    return to_bytes(body, "the body of a request"), TEXT if isinstance(body, str) else None


def _pairs(headers: Headers) -> Pairs:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"a header is a pair of str, not {name!r}: {value!r}")
    return pairs


def _send(request: Request) -> Response:
    status, headers, body = host.fetch(
        request.method, request.url, request.headers, request.body, _milliseconds(request.timeout)
    )
    return Response(status, headers, body, request.url)


def _milliseconds(timeout: float | None) -> int | None:
    if timeout is None:
        return None
    if not timeout > 0:
        raise ValueError(f"a timeout is more than 0 seconds, not {timeout!r}")
    return min(max(1, round(timeout * 1000)), 2**32 - 1)


def _redirected(request: Request, status: int, target: str) -> Request:
    url = urldefrag(urljoin(request.url, target)).url
    headers, body, method = request.headers, request.body, request.method
    if (status == 303 and method not in ("GET", "HEAD")) or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = _without(headers, _OF_BODY)
    if _origin(url) != _origin(request.url):
        headers = _without(headers, _CREDENTIALS)
    return Request(method, url, headers, body, request.timeout)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    try:
        return parts.scheme, parts.hostname, parts.port or usual
    except ValueError as error:
        raise Failure("fetch-invalid-request", f"the request is not valid: {error}") from None


def _without(headers: Pairs, names: tuple[str, ...]) -> Pairs:
    return [(name, value) for name, value in headers if name.lower() not in names]


def _header(headers: Pairs, name: str) -> str | None:
    return next((value for other, value in headers if other.lower() == name.lower()), None)


def _charset(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return "utf-8"
