"""The event loop of a worker: timers and callbacks, nothing else.

A worker has no sockets to wait for and no threads, so whatever a coroutine waits for is done by
another coroutine or by a timer. Where neither is left, the loop fails at once instead of waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from types import CodeType, FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class NeverError(RuntimeError):
    """A coroutine waits for something that nothing will bring about."""


class Loop(asyncio.BaseEventLoop):
    """The event loop. `BaseEventLoop` has tasks, timers and callbacks; this class replaces the part
    that waits."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Clock()

    def _process_events(self, event_list: list[object]) -> None:
        """There are no events."""

    def _write_to_self(self) -> None:
        """There is no other thread that could wake the loop."""

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Calls a function at once, as there are no threads; `asyncio.to_thread` uses it."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # it belongs to the one who awaits
            future.set_exception(error)
        return future


class _Clock:
    """Stands in for a selector: it waits for the next timer."""

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise NeverError
        if timeout > 0:
            time.sleep(timeout)
        return []

    def close(self) -> None:
        """There is nothing to close."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, then cancels the tasks that it left, like `asyncio.run`."""
    loop = Loop()
    main: asyncio.Task[T] | None = None
    try:
        asyncio.set_event_loop(loop)
        main = loop.create_task(coroutine)
        return loop.run_until_complete(main)
    except NeverError:
        assert main is not None
        raise NeverError(_waiting(main)) from None
    finally:
        _close(loop)


def _close(loop: Loop) -> None:
    try:
        _cancel(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
    except NeverError:
        pass  # a task that refuses to be cancelled is dropped
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _cancel(loop: Loop) -> None:
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            loop.call_exception_handler(
                {"message": "a task failed while it was cancelled", "exception": task.exception()}
            )


def _waiting(task: asyncio.Task[Any]) -> str:
    from . import _fault

    place = None
    for code, line in _chain(task.get_coro()):
        if _fault.is_authors(code.co_filename):
            place = f"{_fault.shown(code.co_filename)}:{line} in {code.co_name}"
    where = f" ({place})" if place else ""
    return f"await never ends: no timer and no other task is left that could end it{where}"


def _chain(awaited: object) -> list[tuple[CodeType, int]]:
    """Returns where a suspended coroutine and those that it awaits stand, outermost first."""
    found: list[tuple[CodeType, int]] = []
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None)
        if frame is None:
            frame = getattr(awaited, "gi_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is not None:
            found.append((frame.f_code, frame.f_lineno))
        awaited = _next(awaited)
    return found


def _next(awaited: object) -> object:
    for name in ("cr_await", "gi_yieldfrom", "ag_await"):
        inner: object = getattr(awaited, name, None)
        if inner is not None:
            return inner
    return None


def install() -> None:
    """Makes `asyncio.run` and `asyncio.Runner` use this loop: the standard one needs a socket
    pair, which a worker does not have."""
    asyncio.events._event_loop_policy = _Policy()  # type: ignore[attr-defined]


class _Policy:
    """The event loop policy of a worker: one current loop, no threads."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def get_event_loop(self) -> asyncio.AbstractEventLoop:
        """Returns the current loop."""
        if self._loop is None:
            raise RuntimeError("there is no current event loop; use an async handler, or asyncio.run")
        return self._loop

    def set_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Sets the current loop."""
        self._loop = loop

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Makes a loop."""
        return Loop()


