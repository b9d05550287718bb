"""Runs that nobody wants any more, while the server is busy or slow: they do not go on."""

import asyncio
import threading
import time
import uuid
from dataclasses import replace

import anyio
import pytest
from contree_sdk.auth import JWTAuth
from contree_sdk.sdk.exceptions import OperationTimedOutError

from conftest import DEBIAN, TOKEN, URL
from contree_sdk import Contree
from door import Door, answered, kept_until, lost, refused
from package import OURS
from wire import ask

SPAWN = "POST /v1/instances$"
IMPORT = "POST /v1/images/import$"
CANCEL = "DELETE /v1/operations/"
# How long a test waits for what has to happen.
PATIENCE = 60

pytestmark = pytest.mark.skipif(
    not OURS, reason="the published package does not cancel a run with the task that awaits it"
)


@pytest.fixture
def door():
    door = Door(URL)
    yield door
    door.shut()


@pytest.fixture
def through(config, door):
    def through(**settings):
        auth = JWTAuth(token=TOKEN, base_url=door.url)
        return Contree(replace(config, auth=auth, **settings))

    return through


@pytest.fixture
def marker() -> str:
    """A value that no other run's environment has."""
    return uuid.uuid4().hex


async def long_run(client: Contree, marker: str) -> None:
    image = await client.images.use(DEBIAN)
    await image.run("sleep", args=["600"], env={"MARKER": marker}, timeout=700)


def statuses(marker: str) -> list[str]:
    """Of the operations that have the marker."""
    recent = (ask(f"/operations/{summary['uuid']}") for summary in ask("/operations?limit=20"))
    return [
        operation["status"]
        for operation in recent
        if (operation["metadata"].get("env") or {}).get("MARKER") == marker
    ]


async def comes(condition) -> None:
    """Waits until this is so."""
    end = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def settled(number) -> int:
    """Waits until this has not changed for two seconds: what was on its way has arrived."""
    end = time.monotonic() + PATIENCE
    now, before = number(), None
    while now != before:
        assert time.monotonic() < end
        await asyncio.sleep(2)
        now, before = number(), now
    return now


async def test_a_run_that_was_not_taken_yet_is_never_started(through, door, marker):
    door.keep(SPAWN, refused(429, "the queue is full", Retry_After="0"))
    client = through()
    task = asyncio.ensure_future(long_run(client, marker))
    await comes(lambda: door.count(SPAWN) > 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    asked = await settled(lambda: door.count(SPAWN))
    door.forget()
    # The server takes runs again, and would have been asked many times in this one's second.
    image = await client.images.use(DEBIAN)
    assert (await image.run("sleep", args=["1"])).exit_code == 0
    assert door.count(SPAWN) == asked + 1
    assert await asyncio.to_thread(statuses, marker) == []


async def test_a_run_is_cancelled_however_long_the_server_takes(through, door, marker):
    answers = threading.Event()
    door.put(CANCEL, kept_until(answers, refused(503, "not now")))
    # Longer than any answer is held back here: a request that times out would be sent again.
    task = asyncio.ensure_future(long_run(through(transport_timeout=60), marker))
    await comes(lambda: statuses(marker) == ["EXECUTING"])
    task.cancel()
    # The server has not answered; whoever cancels does not wait for ever.
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes(lambda: door.count(CANCEL) == 1)
    assert (door.count(CANCEL), statuses(marker)) == (1, ["EXECUTING"])
    answers.set()
    await comes(lambda: statuses(marker) == ["CANCELLED"])


async def test_a_run_is_cancelled_however_often_its_task_is(through, door, marker):
    task = asyncio.ensure_future(long_run(through(), marker))
    await comes(lambda: statuses(marker) == ["EXECUTING"])
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await comes(lambda: statuses(marker) == ["CANCELLED"])


async def test_an_import_is_cancelled_however_often_its_task_is(through, door):
    answers = threading.Event()
    taken = answered(202, f'{{"uuid": "{uuid.uuid4()}"}}', Content_Type="application/json")
    door.put(IMPORT, kept_until(answers, taken))
    door.put(CANCEL, answered(204))
    # Longer than any answer is held back here: a request that times out ends the import.
    client = through(transport_timeout=60)
    task = asyncio.ensure_future(client.images.import_from("debian:bookworm"))
    await comes(lambda: door.count(IMPORT) == 1)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert door.count(CANCEL) == 0
    answers.set()
    await comes(lambda: door.count(CANCEL) == 1)


async def test_a_run_ends_with_its_scope_of_anyio(through, door, marker):
    with anyio.CancelScope() as scope:

        async def leave() -> None:
            await comes(lambda: statuses(marker) == ["EXECUTING"])
            # Cancels again and again, as long as anything is awaited.
            scope.cancel()

        leaving = asyncio.ensure_future(leave())
        await long_run(through(), marker)
    await leaving
    assert scope.cancelled_caught
    await comes(lambda: statuses(marker) == ["CANCELLED"])


async def test_a_run_whose_time_is_up_and_whose_cancelling_is_not_confirmed(through, door):
    door.put(CANCEL, lost)
    image = await through().images.use(DEBIAN)
    # It may take so long itself that the client's time is certainly up first.
    process = image.popen(["sleep", "600"], timeout=700)
    assert await process.poll() is None
    with pytest.raises(OperationTimedOutError):
        await process.communicate(timeout=0.5)
    assert door.count(CANCEL) == 2
