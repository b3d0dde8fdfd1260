"""Tests of HTTP workers on the double of the host, and of the records that they get and give."""

import sys
import types
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from skep_guest import Failure, Request, Response, context, state, testing, transcript
from skep_guest._web import request_of


async def site(request: Request) -> Any:
    """A worker that does what the path says."""
    assert context.input_id() is None
    state.set("key", request.path)
    transcript.emit("asked", request.path)
    match request.path:
        case "/echo":
            return Response(request.body, 201, {"x-a": request.header("X-A") or ""})
        case "/json":
            return {**request.json(), **request.query}
        case "/form":
            return Response(repr(request.form()), headers=[("Content-Type", "text/x-python")])
        case "/fail":
            raise Failure("asked", "as asked")
        case "/raise":
            raise ValueError("boom")
        case "/header":
            return Response("", headers=[("x", 5)])  # type: ignore[list-item]
        case "/status":
            return Response("", status=-1)
    return None


def ask(method: str, path: str, body: str | bytes = b"", **more: Any) -> Response:
    return testing.request(method, path, body, worker=site, **more)


class WebTest(unittest.TestCase):
    def setUp(self) -> None:
        testing.reset()

    def test_a_request_and_its_response_are_whole(self) -> None:
        echoed = ask("POST", "/echo", b"\x00\xff", headers={"X-A": "\u00fc"})
        self.assertEqual((echoed.status, echoed.body, echoed.header("x-a")), (201, b"\x00\xff", "\u00fc"))
        self.assertIsNone(echoed.header("content-type"))
        answer = ask("POST", "/json?q=%C3%BC&e", '{"a": 1}')
        self.assertEqual((answer.status, answer.json()), (200, {"a": 1, "q": "\u00fc", "e": ""}))
        self.assertEqual(answer.header("content-type"), "application/json")
        form = ask("POST", "/form", "a=1&b=x+y")
        self.assertEqual((form.text(), form.header("content-type")),
                         ("{'a': '1', 'b': 'x y'}", "text/x-python"))

    def test_a_request_that_fails_leaves_the_state_and_keeps_its_events(self) -> None:
        ask("GET", "/echo")
        for path, code, text in [
            ("/fail", "asked", "as asked"),
            ("/raise", "exception", "ValueError: boom"),
            ("/", "exception", "None is not a response"),
            ("/header", "exception", "a header is a pair of str, not 5"),
            ("/status", "exception", "Response.status"),
        ]:
            with self.assertRaises(Failure) as caught:
                ask("GET", path)
            self.assertEqual(caught.exception.code, code)
            self.assertIn(text, caught.exception.message)
        self.assertEqual(testing.state(), {"key": b"/echo"})
        self.assertEqual(len(testing.events()), 6)

    def test_records(self) -> None:
        raw = types.SimpleNamespace(method="GET", scheme="https", authority="a.example",
                                    path_with_query="/a?b", headers=[("x", b"\xe9"), ("y", "\u00fc".encode())],
                                    body=b"")
        request = request_of(raw)
        self.assertEqual(request.headers, [("x", "\u00e9"), ("y", "\u00fc")])
        self.assertEqual((request.path, request.scheme, request.authority), ("/a", "https", "a.example"))
        text = "text/plain; charset=utf-8"
        self.assertEqual(Response.of("t").raw(), (200, [("content-type", text.encode())], b"t"))
        bytes_type = b"application/octet-stream"
        self.assertEqual(Response.of(b"b").raw(), (200, [("content-type", bytes_type)], b"b"))
        self.assertEqual(Response(b"b", 404).raw(), (404, [], b"b"))


if __name__ == "__main__":
    unittest.main()
