"""Tests of inputs, outputs and JSON."""

import unittest
from typing import Any

from skep_guest import Failure, Input, Output

TEXT = "text/plain; charset=utf-8"


class OutputTest(unittest.TestCase):
    def test_each_type_has_its_media_type(self) -> None:
        cases: list[tuple[Any, str, bytes]] = [
            ("ü", TEXT, "ü".encode()),
            (b"\xff", "application/octet-stream", b"\xff"),
            (bytearray(b"a"), "application/octet-stream", b"a"),
            ({"a": [1, "ü"]}, "application/json", '{"a":[1,"ü"]}'.encode()),
            ((1, 2), "application/json", b"[1,2]"),
            (1.5, "application/json", b"1.5"),
            (True, "application/json", b"true"),
            (Output(b"x", "image/png"), "image/png", b"x"),
        ]
        for value, content_type, body in cases:
            with self.subTest(value=value):
                self.assertEqual(Output.of(value), Output(body, content_type))

    def test_a_given_media_type_wins(self) -> None:
        self.assertEqual(Output.of("<p>", "text/html"), Output(b"<p>", "text/html"))

    def test_what_is_no_answer_is_refused(self) -> None:
        bad: list[Any] = [None, {1}, object(), Output("text", 5), {"a": object()}]  # type: ignore[arg-type]
        for value in bad:
            with self.subTest(value=value), self.assertRaises(TypeError):
                Output.of(value)
        with self.assertRaises(ValueError):
            Output.of(float("nan"))

    def test_none_is_named(self) -> None:
        with self.assertRaisesRegex(TypeError, "None is not an answer: use str, bytes, a JSON"):
            Output.of(None)


class InputTest(unittest.TestCase):
    def failure(self, call: Any) -> str:
        with self.assertRaises(Failure) as caught:
            call()
        return caught.exception.code

    def test_text_and_json(self) -> None:
        self.assertEqual(Input("", "ü".encode()).text(), "ü")
        self.assertEqual(Input("", b'{"a": 1}').json(), {"a": 1})

    def test_the_codes_of_its_failures(self) -> None:
        self.assertEqual(self.failure(Input("", b"\xff").text), "not-text")
        for body in (b"{", b"\xff", b"", b"[" * 100_000):
            with self.subTest(body=body[:5]):
                self.assertEqual(self.failure(Input("", body).json), "not-json")

    def test_brackets_in_strings_are_not_nesting(self) -> None:
        body = b'["' + b"[" * 1000 + b'", "\\"' + b"{" * 1000 + b'"]'
        self.assertEqual(len(Input("", body).json()), 2)


if __name__ == "__main__":
    unittest.main()
