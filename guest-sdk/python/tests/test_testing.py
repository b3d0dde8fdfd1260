"""Tests of the double of the host, and of the turn around a worker."""

import contextlib
import io
import unittest
from collections.abc import Iterator
from typing import Any

from skep_guest import (
    ConnectReason,
    Failure,
    Input,
    Output,
    config,
    context,
    data_dir,
    http,
    state,
    testing,
    transcript,
)
from skep_guest._worker import Marks, marks


def emit_many() -> None:
    for _ in range(10_001):
        transcript.emit("k")


class DoubleTest(unittest.TestCase):
    def setUp(self) -> None:
        testing.reset()
        self.addCleanup(testing.reset)

    def failure(self, worker: Any, body: object = "") -> Failure:
        with self.assertRaises(Failure) as caught, contextlib.redirect_stderr(io.StringIO()):
            testing.send(body, worker=worker)
        return caught.exception

    def test_a_failure_undoes_the_state_and_keeps_events(self) -> None:
        def worker(input: Input) -> str:
            state.set("key", input.body)
            transcript.emit("step", {"n": 1})
            if input.body == b"bad":
                raise Failure("asked", "as asked")
            return "ok"

        self.assertEqual(testing.send("good", worker=worker).text(), "ok")
        self.assertEqual(self.failure(worker, "bad").code, "asked")
        self.assertEqual(testing.state(), {"key": b"good"})
        self.assertEqual([e.content_type for e in testing.events()], ["application/json"] * 2)

    def test_an_exception_names_type_text_file_line_and_function(self) -> None:
        def worker(input: Input) -> str:
            state.set("key", "v")
            raise ValueError("wrong")

        failure = self.failure(worker)
        self.assertEqual(failure.code, "exception")
        self.assertRegex(failure.message, r"^ValueError: wrong \(.*test_testing\.py:\d+ in worker\)$")
        self.assertEqual(testing.state(), {})

    def test_exceptions_that_have_a_next_step(self) -> None:
        def recurse(input: Input) -> str:
            return recurse(input)

        def module(input: Input) -> str:
            import no_such_module  # type: ignore[import-not-found]

            return str(no_such_module)

        def leave(input: Input) -> str:
            raise SystemExit(3)

        cases = [(recurse, "RecursionError", "without an end"),
                 (module, "ModuleNotFoundError", "requirements.txt"),
                 (leave, "SystemExit: 3", "a service does not exit"),
                 (lambda input: None, "TypeError", "use str, bytes, a JSON value or Output")]
        for worker, name, step in cases:
            with self.subTest(name=name):
                failure = self.failure(worker)
                self.assertEqual(failure.code, "exception")
                self.assertTrue(failure.message.startswith(name), failure.message)
                self.assertIn(step, failure.message)

    def test_an_error_without_a_text_is_still_a_failure(self) -> None:
        class Odd(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        def worker(input: Input) -> str:
            raise Odd

        self.assertIn("Odd: (its text cannot be made)", self.failure(worker).message)

    def test_an_async_worker(self) -> None:
        async def worker(input: Input) -> Output:
            return Output(input.body, "x/y")

        self.assertEqual(testing.send(b"b", worker=worker), Output(b"b", "x/y"))

    def test_keys_and_kinds_are_checked(self) -> None:
        calls: list[tuple[Any, str]] = [
            (lambda: state.set("", "x"), "state-invalid-key"),
            (lambda: state.get("k" * 513), "state-invalid-key"),
            (lambda: state.set("k", bytes(64 << 20)), "state-too-large"),
            (lambda: transcript.emit("Bad", ""), "transcript-invalid-kind"),
            (lambda: transcript.emit("k" * 65, ""), "transcript-invalid-kind"),
            (lambda: transcript.emit("k\n", ""), "transcript-invalid-kind"),
            (lambda: transcript.emit("k", bytes((256 << 10) + 1)), "transcript-too-large"),
            (emit_many, "transcript-too-many"),
            (lambda: http.get("http://example.com"), "fetch-denied"),
        ]
        for call, code in calls:
            with self.subTest(code=code), self.assertRaises(Failure) as caught:
                call()
            self.assertEqual(caught.exception.code, code)

    def test_wrong_types_are_type_errors(self) -> None:
        bad: list[Any] = [
            lambda: state.set("k", 5),  # type: ignore[arg-type]
            lambda: state.get(5),  # type: ignore[arg-type]
            lambda: transcript.emit(5),  # type: ignore[arg-type]
            lambda: config[5],  # type: ignore[index]
        ]
        for call in bad:
            with self.assertRaises(TypeError):
                call()
        with self.assertRaises(UnicodeEncodeError):
            state.set("\ud800", "x")

    def test_the_state_lists_in_pages_and_in_the_order_of_bytes(self) -> None:
        names = [f"key-{n:05}" for n in range(2_500)] + ["key-é", "key-\U0001f600", "key-\uffff"]
        for name in reversed(names):
            state.set(name, "x")
        self.assertEqual(list(state.keys("key-")), sorted(names, key=str.encode))
        self.assertTrue(state.delete("key-00000"))
        self.assertFalse(state.delete("key-00000"))

    def test_text_and_json_of_the_state(self) -> None:
        state.set_json("json", {"a": 1})
        state.set("bytes", b"\xff")
        self.assertEqual(state.get_json("json"), {"a": 1})
        self.assertEqual(state.get_text("none", "0"), "0")
        for call, code in ((state.get_text, "state-not-text"), (state.get_json, "state-not-json")):
            with self.assertRaises(Failure) as caught:
                call("bytes")
            self.assertEqual(caught.exception.code, code)

    def test_config_context_and_data(self) -> None:
        testing.set_config({"b": "2", "a": "1"})
        testing.set_identity("r", "w")
        testing.set_attempt(2)
        testing.set_remaining(1.5)
        self.assertEqual((config["a"], config.get("c"), list(config)), ("1", None, ["a", "b"]))
        self.assertEqual(config.get_all(), {"a": "1", "b": "2"})
        seen: list[Any] = []

        def worker(input: Input) -> str:
            seen.extend([context.input_id(), context.attempt(), context.remaining()])
            (data_dir() / "file").write_text("x")
            return f"{context.runtime_id()} {context.worker_id()}"

        self.assertEqual(testing.send(worker=worker).text(), "r w")
        self.assertEqual(seen, ["00000000-0000-7000-8000-000000000001", 2, 1.5])
        self.assertIsNone(context.input_id())
        self.assertEqual((testing.data_dir() / "file").read_text(), "x")

    def test_the_transcript_has_what_a_turn_wrote(self) -> None:
        def worker(input: Input) -> str:
            transcript.emit("step", "one")
            return str(len(transcript.read().entries))

        self.assertEqual(testing.send("in", worker=worker).text(), "1")
        page = transcript.read(0, 2)
        self.assertEqual([(e.seq, e.kind, e.event) for e in page.entries],
                         [(1, "input", None), (2, "event", "step")])
        self.assertEqual(page.next, 2)
        self.assertEqual(transcript.read(2).entries[0].kind, "output")

    def test_hooks_cannot_write_the_state(self) -> None:
        with self.marked("connected", lambda reason: state.set("k", reason.value)):
            with self.assertRaises(Failure) as caught:
                testing.connected(ConnectReason.UPDATE)
        self.assertEqual(caught.exception.code, "state-unavailable")
        state.set("k", "v")
        with self.marked("disconnecting", lambda: print("bye")):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                testing.disconnecting()
        self.assertEqual(out.getvalue(), "bye\n")

    @contextlib.contextmanager
    def marked(self, mark: str, function: Any) -> Iterator[None]:
        marks.add(mark, function)
        try:
            yield
        finally:
            del marks.functions[mark]


class HttpTest(unittest.TestCase):
    def setUp(self) -> None:
        testing.reset()
        self.seen: list[http.Request] = []

    def answer(self, *responses: http.Response) -> None:
        left = list(responses)

        def fetch(request: http.Request) -> http.Response:
            self.seen.append(request)
            return left.pop(0) if len(left) > 1 else left[0]

        testing.set_fetch(fetch)

    def test_a_request_and_its_answer(self) -> None:
        self.answer(http.Response(200, [("content-type", "text/plain; charset=latin-1")], b"\xfc"))
        got = http.post("http://a.example/x#part", json={"a": 1}, headers={"X-A": "b"}, timeout=2)
        self.assertEqual((got.ok, got.text(), got.url), (True, "ü", "http://a.example/x"))
        headers = [("X-A", "b"), ("content-type", "application/json")]
        self.assertEqual(self.seen, [http.Request("POST", got.url, headers, b'{"a":1}', 2.0)])

    def test_a_redirect_drops_credentials_and_a_body(self) -> None:
        self.answer(http.Response(302, [("Location", "https://b.example/y")], b""),
                    http.Response(200, [], b"ok"))
        got = http.post("https://a.example/x", "text", headers={"Authorization": "secret", "X": "y"})
        self.assertEqual(got.text(), "ok")
        last = self.seen[-1]
        self.assertEqual((last.method, last.url, last.headers, last.body),
                         ("GET", "https://b.example/y", [("X", "y")], b""))

    def test_a_307_keeps_method_body_and_credentials_within_an_origin(self) -> None:
        self.answer(http.Response(307, [("location", "/y")], b""), http.Response(200, [], b""))
        http.request("PUT", "https://a.example:443/x", b"b", headers=[("Cookie", "c")])
        last = self.seen[-1]
        self.assertEqual((last.method, last.url, last.headers, last.body),
                         ("PUT", "https://a.example:443/y", [("Cookie", "c")], b"b"))

    def test_too_many_redirects(self) -> None:
        self.answer(http.Response(301, [("location", "/x")], b""))
        with self.assertRaises(Failure) as caught:
            http.get("http://a.example/")
        self.assertEqual((caught.exception.code, len(self.seen)), ("fetch-failed", 21))
        self.assertEqual(http.request("GET", "http://a.example/", follow=False).status, 301)


class MarksTest(unittest.TestCase):
    def messages(self, **functions: list[Any]) -> list[str]:
        found = Marks()
        for mark, marked in functions.items():
            for function in marked:
                found.add(mark, function)
        return [misuse.message for misuse in found.misuses("web" if "web" in functions else "worker")]

    def test_misuses(self) -> None:
        def one(input: Input) -> str:
            return ""

        def two(input: Input) -> str:
            return ""

        def none() -> str:
            return ""

        def generator(input: Input) -> Iterator[str]:
            yield ""

        self.assertEqual(self.messages(worker=[one]), [])
        self.assertEqual(self.messages(worker=[one, one]), [])
        self.assertIn("no function is marked @worker", self.messages()[0])
        self.assertIn("two is marked @worker, and so is", self.messages(worker=[one, two])[0])
        self.assertIn("takes one parameter", self.messages(worker=[none])[0])
        self.assertIn("is a generator", self.messages(worker=[generator])[0])
        self.assertIn("takes no parameter", self.messages(worker=[one], disconnecting=[two])[0])
        self.assertEqual(self.messages(web=[one]), [])
        self.assertIn("no function is marked @web", self.messages(web=[])[0])
        self.assertIn("takes one parameter, the Request", self.messages(web=[none])[0])
        self.assertIn("has no such function", self.messages(web=[one], worker=[two])[0])
        self.assertIn("is marked @connected", self.messages(web=[one], connected=[two])[0])
        with self.assertRaises(TypeError):
            Marks().add("worker", 5)  # type: ignore[type-var]


if __name__ == "__main__":
    unittest.main()
