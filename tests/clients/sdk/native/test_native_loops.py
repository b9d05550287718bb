"""Runs awaited on event loops: one, several, in threads, cancelled, a thousand at once."""

import asyncio
import contextvars
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import DEBIAN, output_of
from contree_sdk import Contree, ContreeSync, _blocking

NUMBER: contextvars.ContextVar[int] = contextvars.ContextVar("NUMBER")


async def echo(client: Contree, text: str) -> str:
    image = await client.images.use(DEBIAN)
    done = await image.run("echo", args=["-n", text])
    return done.stdout


def test_one_client_serves_one_loop_after_the_other(config):
    client = Contree(config)
    for number in range(5):
        assert asyncio.run(echo(client, str(number))) == str(number)


def test_one_client_serves_loops_in_several_threads(config):
    client = Contree(config)

    def several(thread: int) -> list[str]:
        async def all_of_them() -> list[str]:
            return await asyncio.gather(*(echo(client, f"{thread}-{n}") for n in range(10)))

        return asyncio.run(all_of_them())

    with ThreadPoolExecutor(8) as threads:
        for thread, said in enumerate(threads.map(several, range(8))):
            assert said == [f"{thread}-{n}" for n in range(10)]


async def test_a_thousand_runs_at_once(config):
    client = Contree(config)
    said = await asyncio.gather(*(echo(client, str(n)) for n in range(1000)))
    assert said == [str(n) for n in range(1000)]


async def test_a_task_keeps_its_context(config):
    client = Contree(config)

    async def numbered(number: int) -> int:
        NUMBER.set(number)
        await echo(client, "x")
        found = NUMBER.get()
        NUMBER.set(found + 100)
        await echo(client, "y")
        return NUMBER.get()

    assert await asyncio.gather(*(numbered(n) for n in range(10))) == [n + 100 for n in range(10)]
    assert NUMBER.get(None) is None


async def test_cancelling_the_task_cancels_the_run(config, marker, operation):
    image = await Contree(config).images.use(DEBIAN)
    prepared = image.run("sleep", args=["600"], env={"MARKER": marker}, timeout=700)
    task = asyncio.ensure_future(prepared)
    id = await asyncio.to_thread(operation, "EXECUTING")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(operation, "CANCELLED") == id


async def test_a_timeout_of_the_caller_cancels_the_run(config, marker, operation):
    image = await Contree(config).images.use(DEBIAN)
    prepared = image.run("sleep", args=["600"], env={"MARKER": marker}, timeout=700)
    task = asyncio.ensure_future(prepared)
    # What was not sent yet would never be started.
    id = await asyncio.to_thread(operation, "EXECUTING")
    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        await asyncio.wait_for(task, 0.5)
    assert await asyncio.to_thread(operation, "CANCELLED") == id


async def test_a_cancelled_task_leaves_the_others_alone(config):
    client = Contree(config)
    tasks = [asyncio.ensure_future(echo(client, str(n))) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert ends[1::2] == [str(n) for n in range(1, 50, 2)]
    assert all(isinstance(end, asyncio.CancelledError) for end in ends[::2])


def test_a_loop_that_is_closed_half_way_is_let_go(config):
    client = Contree(config)
    loop = asyncio.new_event_loop()
    work = client._core.whoami()
    step = work.__await__()

    async def first_step() -> object:
        return next(step)

    waits_for = loop.run_until_complete(first_step())
    assert asyncio.isfuture(waits_for)
    loop.close()
    del step, work, waits_for, loop
    gc.collect()
    assert asyncio.run(echo(client, "on")) == "on"


def test_work_is_awaited_once(config):
    work = Contree(config)._core.whoami()

    async def twice() -> None:
        await work
        with pytest.raises(RuntimeError, match="awaited before"):
            await work

    asyncio.run(twice())


def test_awaiting_needs_a_loop(config):
    with pytest.raises(RuntimeError, match="no running event loop"):
        next(Contree(config)._core.whoami().__await__())


def test_what_blocks_may_await_nothing_else():
    with pytest.raises(RuntimeError, match="needs an event loop"):
        _blocking.run(asyncio.sleep(0))
    assert not _blocking.is_blocking()


async def test_a_blocking_client_works_inside_a_running_loop(config):
    image = ContreeSync(config).images.use(DEBIAN)
    assert image.run("echo", args=["-n", "hi"]).wait().stdout == "hi"
    # And the loop does not take part.
    assert await echo(Contree(config), "ho") == "ho"


@pytest.mark.parametrize("url", ["http://no where", "ftp://nowhere"])
def test_a_client_that_cannot_be_had_is_refused_to_all_threads(url):
    said = output_of(
        """
        # Threads take turns wherever they can.
        sys.setswitchinterval(1e-6)
        client = ContreeSync(ContreeConfig(auth=JWTAuth(token="x", base_url=sys.argv[1])))
        refused = []

        def ask():
            for _ in range(500):
                try:
                    client.get_token_info()
                except ContreeError as error:
                    refused.append(error)

        threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(len(refused))
        """,
        url,
    )
    assert said == "2000\n"


def test_a_blocked_thread_leaves_python_to_the_others(config):
    image = ContreeSync(config).images.use(DEBIAN)
    go_on = threading.Event()
    started = threading.Event()

    def blocked() -> str:
        handle = image.run("cat", stdin=None, shell="read line; echo -n $line").start()
        started.set()
        go_on.wait()
        return handle.wait().stdout

    with ThreadPoolExecutor(16) as threads:
        waiting = [threads.submit(image.run("sleep", args=["1"]).wait) for _ in range(15)]
        last = threads.submit(blocked)
        started.wait()
        # This thread runs while all of those block.
        go_on.set()
        assert last.result().strip() == ""
        assert [done.result().exit_code for done in waiting] == [0] * 15
