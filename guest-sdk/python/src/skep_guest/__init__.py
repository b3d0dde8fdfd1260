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

An HTTP worker marks one function with `@web` instead. It gets a `Request` and returns text, bytes, a
value for JSON or a `Response`:

    from skep_guest import Request, Response, web

    @web
    def respond(request: Request) -> Response:
        if request.path != "/":
            return Response("there is nothing here\n", status=404)
        return Response(f"hello, {request.query.get('name', 'guest')}\n")
"""

from . import context, state, transcript
from ._config import config
from ._data_dir import data_dir
from ._failure import Failure
from ._message import Input, Output
from ._web import Request, Response
from ._worker import ConnectReason, connected, disconnecting, web, worker

__all__ = [
    "ConnectReason",
    "Failure",
    "Input",
    "Output",
    "Request",
    "Response",
    "config",
    "connected",
    "context",
    "data_dir",
    "disconnecting",
    "state",
    "transcript",
    "web",
    "worker",
]
