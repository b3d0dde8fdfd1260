"""The functions that an author marks: the worker and its hooks."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ._message import Input
from ._web import Request


class ConnectReason(enum.Enum):
    """The reason why an instance was created."""

    CREATED = "created"
    """The worker has never been connected before."""
    INPUT = "input"
    """An input arrived for a worker whose instance had been dropped."""
    RESTART = "restart"
    """The host restarted with unfinished inputs for this worker."""
    UPDATE = "update"
    """The worker was switched to another component or config bundle."""


Handler = Callable[[Input], Any]
WebHandler = Callable[[Request], Any]
Connected = Callable[[ConnectReason], "Awaitable[None] | None"]
Disconnecting = Callable[[], "Awaitable[None] | None"]

_F = TypeVar("_F", bound=Callable[..., Any])
_H = TypeVar("_H", bound=Handler)
_W = TypeVar("_W", bound=WebHandler)
_C = TypeVar("_C", bound=Connected)
_D = TypeVar("_D", bound=Disconnecting)


def worker(function: _H) -> _H:
    """Marks the function that Skep calls for each input. It takes an `Input` and returns text, bytes,
    a value for JSON or an `Output`; it may be `async`. A worker has one."""
    return marks.add("worker", function)


def web(function: _W) -> _W:
    """Marks the function that Skep calls for each HTTP request, in a worker with `kind = "web"`. It takes
    a `Request` and returns text, bytes, a value for JSON or a `Response`; it may be `async`. A worker
    has one."""
    return marks.add("web", function)


def connected(function: _C) -> _C:
    """Marks the hook that is called once on each new instance, before its first input, with a
    `ConnectReason`. It can read `state`, not write it; its time counts towards the deadline of the
    turn that follows. If it raises, that turn fails, and the hook runs again before the next one."""
    return marks.add("connected", function)


def disconnecting(function: _D) -> _D:
    """Marks the hook that is called before a healthy instance is dropped, on a best-effort basis.
    `state` cannot be written in it."""
    return marks.add("disconnecting", function)


@dataclass(frozen=True)
class Misuse:
    """A mistake in the use of a mark."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.file else ""
        return where + self.message


_PARAMETERS = {"worker": "one parameter, the Input", "web": "one parameter, the Request",
               "connected": "one parameter, the reason", "disconnecting": "no parameter"}
_COUNT = {"worker": 1, "web": 1, "connected": 1, "disconnecting": 0}
_WANTED = {
    "worker": "no function is marked @worker; write `@worker` above the function that handles an input",
    "web": "no function is marked @web; write `@web` above the function that handles a request",
}
# A worker with one of these has none of the others.
_APART = {"worker": ["web"], "web": ["worker", "connected", "disconnecting"]}


class Marks:
    """The marked functions of this program, by mark."""

    def __init__(self) -> None:
        self.functions: dict[str, list[Callable[..., Any]]] = {}

    def add(self, mark: str, function: _F) -> _F:
        """Adds a function. One that is defined again, by a reload, replaces its former self."""
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"@{mark} marks a function, not {type(function).__name__}")
        others = [f for f in self.functions.get(mark, []) if _place(f) != _place(function)]
        self.functions[mark] = [*others, function]
        return function

    def get(self, mark: str) -> Callable[..., Any] | None:
        """Returns the last function with this mark."""
        functions = self.functions.get(mark, [])
        return functions[-1] if functions else None

    def misuses(self, called: str = "worker") -> list[Misuse]:
        """Returns what is wrong with the marks of this program. `called` is the mark of the function
        that is called: `worker` or `web`."""
        found = []
        if not self.functions.get(called):
            found.append(Misuse("", 0, _WANTED[called]))
        for mark in _APART[called]:
            found += [_at(f, f"{_place(f)[2]} is marked @{mark}, and a worker with @{called} has no "
                             "such function: remove it") for f in self.functions.get(mark, [])]
        for mark, functions in self.functions.items():
            found += [m for f in functions for m in _misuse(mark, f)]
            for function in functions[1:]:
                found.append(_second(mark, functions[0], function))
        return found


def _misuse(mark: str, function: Callable[..., Any]) -> list[Misuse]:
    name = getattr(function, "__name__", "the function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return [_at(function, f"{name} is a generator; a function marked @{mark} returns its "
                              "answer: use return, not yield")]
    try:
        inspect.signature(function).bind(*[None] * _COUNT[mark])
    except TypeError:
        got = inspect.signature(function)
        return [_at(function, f"{name}{got} cannot be called by Skep: a function marked @{mark} "
                              f"takes {_PARAMETERS[mark]}")]
    except ValueError:
        pass  # a function without a signature, written in C
    return []


def _second(mark: str, first: Callable[..., Any], second: Callable[..., Any]) -> Misuse:
    file, line, name = _place(first)
    return _at(second, f"{_place(second)[2]} is marked @{mark}, and so is {name} ({file}:{line}); "
                       "a worker has one: remove a mark")


def _at(function: Callable[..., Any], message: str) -> Misuse:
    file, line, _ = _place(function)
    return Misuse(file, line, message)


def _place(function: Callable[..., Any]) -> tuple[str, int, str]:
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    name = getattr(inner, "__qualname__", repr(inner))
    return (code.co_filename, code.co_firstlineno, name) if code else ("", 0, name)


marks = Marks()
