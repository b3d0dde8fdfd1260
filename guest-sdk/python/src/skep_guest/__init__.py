"""Write a Skep worker: mark one function with `@worker`, build it with `skep build`.

A worker gets one `Input` at a time and answers with text, bytes, a value for JSON or an `Output`,
or raises a `Failure`. It keeps `state`, emits events to its `transcript`, reads `context` and
`config`, calls HTTP with `skep_guest.http`, and has a directory of its own, `/data`, for `open()`.

A turn's writes to `state` are committed with its outcome or not at all. Files are different: those
written to `/data` stay, and are visible again if the host died in the turn and runs it once more
(`context.attempt()` is then above 1).

    from skep_guest import Failure, Input, config, state, transcript, worker

    @worker
    def handle(input: Input) -> str:
        text = input.text().strip()
        if not text.isdigit():
            raise Failure("bad-request", f"{text!r} is not a number")
        total = int(state.get_text("sum", "0")) + int(text)
        state.set("sum", str(total))
        if total > int(config.get("limit", "1000")):
            raise Failure("too-much", f"{total} is more than the limit")
        transcript.emit("added", text)
        return str(total)
"""

from . import context, state, transcript
from ._config import config
from ._data_dir import data_dir
from ._failure import Failure
from ._message import Input, Output
from ._worker import ConnectReason, connected, disconnecting, worker

__all__ = [
    "ConnectReason",
    "Failure",
    "Input",
    "Output",
    "config",
    "connected",
    "context",
    "data_dir",
    "disconnecting",
    "state",
    "transcript",
    "worker",
]
