"""One call of the author's code: a turn or a hook. Nothing but a `Failure` gets out of it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from . import _fault
from ._failure import Failure
from ._message import Input, Output
from ._web import Raw, Request, Response
from ._worker import ConnectReason, Handler, WebHandler, marks


def handle(handler: Handler, input: Input) -> Output:
    """Calls the worker. Any exception becomes the failure `exception`, and its traceback goes to
    stderr."""
    try:
        return _answer(handler, call(handler, input))
    except Failure as failure:
        raise checked(failure) from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and sys.platform != "wasi":
            raise  # it is of the person who runs a test
        raise _fault.failure(error) from None


def respond(handler: WebHandler, request: Request) -> Raw:
    """Calls the HTTP worker. Any exception becomes the failure `exception`, and its traceback goes to
    stderr."""
    try:
        value = call(handler, request)
        try:
            return Response.of(value).raw()
        except (TypeError, ValueError) as error:
            raise Failure("exception", _refused(handler, error)) from None
    except Failure as failure:
        raise checked(failure) from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and sys.platform != "wasi":
            raise  # it is of the person who runs a test
        raise _fault.failure(error) from None


def connected(reason: ConnectReason) -> None:
    """Calls the hook of a new instance. Raises what the hook raises, as a failure."""
    hook = marks.get("connected")
    if hook is None:
        return
    try:
        call(hook, reason)
    except Failure as failure:
        raise checked(failure) from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and sys.platform != "wasi":
            raise  # it is of the person who runs a test
        raise _fault.failure(error) from None


def disconnecting() -> None:
    """Calls the hook before an instance is dropped. An exception only gets printed."""
    hook = marks.get("disconnecting")
    if hook is None:
        return
    try:
        call(hook)
    except BaseException as error:
        _fault.print_traceback(error)


def call(function: Callable[..., Any], *arguments: object) -> Any:
    """Calls a function, and runs the coroutine if it returns one."""
    value = function(*arguments)
    if not inspect.iscoroutine(value):
        return value
    from . import _loop  # asyncio is large, and most workers do without

    return _loop.run(value)


def checked(failure: Failure) -> Failure:
    """Returns a failure with a code and a message that the host takes."""
    code, message = str(failure.code), str(failure.message)
    return Failure(*(text.encode("utf-8", "backslashreplace").decode() for text in (code, message)))


def _answer(handler: Handler, value: object) -> Output:
    try:
        return Output.of(value)
    except (TypeError, ValueError) as error:
        raise Failure("exception", _refused(handler, error)) from None


def _refused(handler: Handler | WebHandler, error: Exception) -> str:
    code = getattr(inspect.unwrap(handler), "__code__", None)
    name = getattr(handler, "__name__", "the worker")
    where = f" ({_fault.shown(code.co_filename)}:{code.co_firstlineno} in {name})" if code else ""
    return f"{type(error).__name__}: {name} returned no answer: {error}{where}"
