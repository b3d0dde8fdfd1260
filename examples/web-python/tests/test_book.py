"""Unit tests of the guest book: its source, with a double of the host, without wasm."""

import unittest

import worker  # noqa: F401  src/worker.py
from skep_guest import testing


def ask(method: str, path: str, body: str | bytes = b"") -> tuple[int, str]:
    response = testing.request(method, path, body)
    return response.status, response.text()


class BookTest(unittest.TestCase):
    def setUp(self) -> None:
        testing.reset()

    def test_it_greets_by_the_name_in_the_query(self) -> None:
        self.assertEqual(ask("GET", "/"), (200, "hello, guest\n"))
        self.assertEqual(ask("GET", "/?a=b&name=Ada+%F0%9F%90%9D"), (200, "hello, Ada 🐝\n"))

    def test_the_book_has_the_lines_in_order(self) -> None:
        self.assertEqual(ask("GET", "/book"), (200, ""))
        self.assertEqual(ask("POST", "/book", "Ada was here"), (201, "line 1\n"))
        self.assertEqual(ask("POST", "/book", "and Bo\n"), (201, "line 2\n"))
        self.assertEqual(ask("GET", "/book"), (200, "Ada was here\nand Bo\n"))

    def test_what_is_no_line_is_refused(self) -> None:
        for body in (b"", b" \n", b"two\nlines", b"\xff", b"x" * 1_001):
            self.assertEqual(ask("POST", "/book", body)[0], 400)
        self.assertEqual(ask("DELETE", "/book")[0], 405)
        self.assertEqual(ask("GET", "/other")[0], 404)
        self.assertEqual(testing.state(), {})


if __name__ == "__main__":
    unittest.main()
