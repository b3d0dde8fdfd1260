"""Does one thing of the worker's interface per input, for the tests that compare the guest SDKs. The
guests of all languages behave alike.

An input that is not text is answered with itself. Text is `VERB ARGS`, split at single spaces; the
last argument takes the rest."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable

from skep_guest import (
    ConnectReason,
    Failure,
    Input,
    Output,
    config,
    connected,
    context,
    data_dir,
    disconnecting,
    http,
    state,
    transcript,
    worker,
)

last_reason = "none"


@connected
def on_connected(reason: ConnectReason) -> None:
    global last_reason
    last_reason = reason.value


@disconnecting
def on_disconnecting() -> None:
    print("disconnecting")


@worker
async def handle(input: Input) -> str | Output:
    if not input.content_type.startswith("text/plain"):
        return Output(input.body, input.content_type)
    name, _, rest = input.text().partition(" ")
    verb = VERBS.get(name)
    if verb is not None:
        return verb(*_arguments(verb, rest))
    if name == "gather":
        return await gather()
    if name == "never":
        await asyncio.get_running_loop().create_future()
    if name == "sleep":
        await asyncio.sleep(int(rest) / 1000)
        return "slept"
    raise Failure("bad-request", f"unknown verb {name}")


def _arguments(verb: Callable[..., str], rest: str) -> list[str]:
    count = verb.__code__.co_argcount
    parts = rest.split(" ", count - 1) if count else []
    return parts + [""] * (count - len(parts))


# State.


def count() -> str:
    number = str(int(state.get_text("count", "0")) + 1)
    state.set("count", number)
    transcript.emit("counted", number)
    return number


def set_key(key: str, value: str) -> str:
    state.set(key, value)
    return "ok"


def delete(key: str) -> str:
    return "true" if state.delete(key) else "false"


def get(key: str) -> str:
    value = state.get_text(key)
    if value is None:
        raise Failure("missing", f"{key} is not in the state")
    return value


def keys(prefix: str) -> str:
    return "\n".join(state.keys(prefix))


def set_long_key() -> str:
    return set_key("k" * 513, "")


def set_large(size: str) -> str:
    state.set("large", bytes(int(size)))
    return "ok"


def fill(number: str) -> str:
    for index in range(int(number)):
        state.set(f"key-{index:05}", "x")
    return "ok"


def set_then_fail(key: str, value: str) -> str:
    state.set(key, value)
    raise Failure("asked", "as asked")


# Transcript.


def emit(kind: str, text: str) -> str:
    transcript.emit(kind, text)
    return "ok"


def emit_large(size: str) -> str:
    transcript.emit("large", bytes(int(size)))
    return "ok"


def emit_many(number: str) -> str:
    for _ in range(int(number)):
        transcript.emit("many", "x")
    return "ok"


def read(after: str, limit: str) -> str:
    page = transcript.read(int(after), int(limit))
    lines = [f"{e.seq} {e.kind} {e.event or '-'} {e.content_type or '-'}" for e in page.entries]
    lines.append("end" if page.next is None else f"next {page.next}")
    return "\n".join(lines)


# Config and context.


def config_value(key: str) -> str:
    value = config.get(key)
    if value is None:
        raise Failure("missing", f"{key} is not in the config")
    return value


def config_all() -> str:
    return "\n".join(f"{key}={value}" for key, value in config.items())


def describe_context() -> str:
    remaining = "no" if context.remaining() is None else "yes"
    return (
        f"runtime={context.runtime_id()} worker={context.worker_id()} "
        f"input={context.input_id() or '-'} attempt={context.attempt()} remaining={remaining}"
    )


def lifecycle() -> str:
    return last_reason


# Files, randomness, streams, HTTP.


def write(name: str, text: str) -> str:
    try:
        (data_dir() / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure("io", str(error)) from None
    return "ok"


def read_file(name: str) -> str:
    try:
        return (data_dir() / name).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure("io", str(error)) from None


def random_bytes() -> str:
    return os.urandom(16).hex()


def random_float() -> str:
    return repr(random.random())


def log(text: str) -> str:
    print(text)
    return "ok"


def log_error(text: str) -> str:
    print(text, file=sys.stderr)
    return "ok"


def fetch(method: str, url: str, text: str) -> str:
    answer = http.request(method, url, text or None)
    return f"{answer.status}\n{answer.text()}"


# Faults.


def throw(text: str) -> str:
    raise ValueError(text)


def trap() -> str:
    raise Failure("unsupported", "a Python worker has no way to trap")


def spin() -> str:
    while True:
        pass


# The event loop.


async def gather() -> str:
    first, second = await asyncio.gather(later(1), later(2))
    async with asyncio.TaskGroup() as group:
        third = group.create_task(asyncio.wait_for(later(3), 5))
    queue: asyncio.Queue[int] = asyncio.Queue()
    producer = asyncio.create_task(put(queue, [first, second, third.result()]))
    numbers = [str(await queue.get()) async for _ in ticks(3)]
    await producer
    return "gathered " + " ".join(numbers)


async def later(number: int) -> int:
    await asyncio.sleep(0.01)
    return number


async def put(queue: asyncio.Queue[int], numbers: list[int]) -> None:
    for number in numbers:
        await asyncio.sleep(0)
        await queue.put(number)


async def ticks(number: int) -> AsyncIterator[int]:
    for tick in range(number):
        await asyncio.sleep(0.001)
        yield tick


VERBS: dict[str, Callable[..., str]] = {
    "config": config_value,
    "config-all": config_all,
    "context": describe_context,
    "count": count,
    "delete": delete,
    "emit": emit,
    "emit-large": emit_large,
    "emit-many": emit_many,
    "fetch": fetch,
    "fill": fill,
    "get": get,
    "keys": keys,
    "lifecycle": lifecycle,
    "log": log,
    "log-error": log_error,
    "random": random_bytes,
    "random-float": random_float,
    "read": read,
    "read-file": read_file,
    "set": set_key,
    "set-large": set_large,
    "set-long-key": set_long_key,
    "set-then-fail": set_then_fail,
    "spin": spin,
    "throw": throw,
    "trap": trap,
    "write": write,
}
