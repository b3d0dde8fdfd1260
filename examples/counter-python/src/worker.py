"""Counts its inputs. Every input, whatever its type and content, adds 1 and is answered with the
number so far. The body `save` also writes the number to `/data/count.txt`."""

from skep_guest import Failure, Input, data_dir, state, transcript, worker

KEY = "count"
"""The key of the number, which is stored as decimal text."""


@worker
def handle(input: Input) -> str:
    text = state.get_text(KEY, "0")
    if not text.isdigit():
        raise Failure("bad-state", text)
    count = str(int(text) + 1)

    state.set(KEY, count)
    transcript.emit("counted", count)
    if input.body == b"save":
        with open(data_dir() / "count.txt", "w") as file:
            file.write(f"{count}\n")
    return count
