"""Tests of the event loop that async handlers run on."""

import asyncio
import contextlib
import time
import unittest
from collections.abc import AsyncIterator
from typing import Any

from skep_guest import _loop


async def later(value: int, seconds: float = 0.001) -> int:
    await asyncio.sleep(seconds)
    return value


async def ticks(number: int) -> AsyncIterator[int]:
    for tick in range(number):
        await asyncio.sleep(0)
        yield tick


class LoopTest(unittest.TestCase):
    def run_in_loop(self, coroutine: Any) -> Any:
        return _loop.run(coroutine)

    def test_gather(self) -> None:
        async def main() -> list[int]:
            return list(await asyncio.gather(later(1), later(2), later(3)))

        self.assertEqual(self.run_in_loop(main()), [1, 2, 3])

    def test_timers_run_at_the_same_time(self) -> None:
        async def main() -> None:
            await asyncio.gather(*(asyncio.sleep(0.05) for _ in range(10)))

        begin = time.monotonic()
        self.run_in_loop(main())
        self.assertLess(time.monotonic() - begin, 0.4)

    def test_a_task_group(self) -> None:
        async def main() -> int:
            async with asyncio.TaskGroup() as group:
                one, two = group.create_task(later(1)), group.create_task(later(2))
            return one.result() + two.result()

        self.assertEqual(self.run_in_loop(main()), 3)

    def test_a_failed_task_cancels_its_group(self) -> None:
        cancelled = []

        async def slow() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        async def wrong() -> None:
            raise ValueError("wrong")

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(slow())
                await asyncio.sleep(0)
                group.create_task(wrong())

        with self.assertRaises(ExceptionGroup):
            self.run_in_loop(main())
        self.assertEqual(cancelled, [True])

    def test_wait_for_and_timeout(self) -> None:
        async def main() -> list[str]:
            found = [str(await asyncio.wait_for(later(1), 5))]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.01)
                found.append("wait_for did not end")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(60)
                    found.append("timeout did not end")
            return found

        self.assertEqual(self.run_in_loop(main()), ["1"])

    def test_a_queue_an_event_and_a_lock(self) -> None:
        async def main() -> list[int]:
            queue: asyncio.Queue[int] = asyncio.Queue(1)
            event, lock = asyncio.Event(), asyncio.Lock()

            async def produce() -> None:
                await event.wait()
                for number in range(3):
                    async with lock:
                        await queue.put(number)

            task = asyncio.create_task(produce())
            event.set()
            found = [await queue.get() for _ in range(3)]
            await task
            return found

        self.assertEqual(self.run_in_loop(main()), [0, 1, 2])

    def test_an_async_generator(self) -> None:
        async def main() -> list[int]:
            return [tick async for tick in ticks(3)]

        self.assertEqual(self.run_in_loop(main()), [0, 1, 2])

    def test_a_thread_is_a_plain_call(self) -> None:
        async def main() -> int:
            return await asyncio.to_thread(sum, [1, 2])

        self.assertEqual(self.run_in_loop(main()), 3)

    def test_what_never_ends_fails_at_once_and_says_where(self) -> None:
        async def inner() -> None:
            await asyncio.Event().wait()

        async def main() -> None:
            await inner()

        begin = time.monotonic()
        with self.assertRaises(_loop.NeverError) as caught:
            self.run_in_loop(main())
        self.assertLess(time.monotonic() - begin, 1)
        self.assertRegex(str(caught.exception), r"test_loop\.py:\d+ in inner")

    def test_a_deadlock_of_two_tasks_fails(self) -> None:
        async def main() -> None:
            one, two = asyncio.Event(), asyncio.Event()

            async def wait_then_set(mine: asyncio.Event, other: asyncio.Event) -> None:
                await mine.wait()
                other.set()

            await asyncio.gather(wait_then_set(one, two), wait_then_set(two, one))

        with self.assertRaises(_loop.NeverError):
            self.run_in_loop(main())

    def test_tasks_that_are_left_are_cancelled(self) -> None:
        ended = []

        async def background() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(True)

        async def main() -> str:
            self.task = asyncio.create_task(background())
            await asyncio.sleep(0)
            return "done"

        begin = time.monotonic()
        self.assertEqual(self.run_in_loop(main()), "done")
        self.assertEqual(ended, [True])
        self.assertLess(time.monotonic() - begin, 1)

    def test_a_task_that_refuses_to_be_cancelled_does_not_hang(self) -> None:
        async def stubborn() -> None:
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        async def main() -> None:
            self.task = asyncio.create_task(stubborn())
            await asyncio.sleep(0)

        self.run_in_loop(main())

    def test_an_exception_comes_out_as_it_is(self) -> None:
        async def main() -> None:
            await asyncio.sleep(0)
            raise KeyError("k")

        with self.assertRaises(KeyError):
            self.run_in_loop(main())

    def test_the_loop_can_be_used_again(self) -> None:
        self.assertEqual([self.run_in_loop(later(n)) for n in range(3)], [0, 1, 2])


if __name__ == "__main__":
    unittest.main()
