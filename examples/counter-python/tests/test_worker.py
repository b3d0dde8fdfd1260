"""Unit tests of the counter: its source, with a double of the host, without wasm."""

import unittest

import worker  # noqa: F401  src/worker.py
from skep_guest import Failure, data_dir, state, testing


class CounterTest(unittest.TestCase):
    def setUp(self) -> None:
        testing.reset()

    def test_every_input_adds_one_whatever_it_is(self) -> None:
        self.assertEqual(testing.send("hello").text(), "1")
        self.assertEqual(testing.send(b"\xff\x00").text(), "2")
        self.assertEqual(testing.send("", "").text(), "3")
        self.assertEqual(testing.state(), {"count": b"3"})

    def test_each_turn_emits_one_event(self) -> None:
        testing.send("a")
        testing.send("b")
        self.assertEqual([(e.kind, e.text()) for e in testing.events()],
                         [("counted", "1"), ("counted", "2")])

    def test_only_save_writes_a_file(self) -> None:
        file = data_dir() / "count.txt"
        testing.send("saved")
        self.assertFalse(file.exists())
        testing.send("save")
        self.assertEqual(file.read_text(), "2\n")

    def test_a_state_that_is_not_a_number_is_a_failure(self) -> None:
        state.set("count", "many")
        with self.assertRaises(Failure) as caught:
            testing.send("hello")
        self.assertEqual(caught.exception.code, "bad-state")


if __name__ == "__main__":
    unittest.main()
