"""A server that is fully used: runs wait, and beyond that are refused without harm."""

import asyncio
import os
from importlib import import_module

import pytest

from contree_client import ClosableStreamRepr, OperationStatus, RateLimitError, RetryPolicy

# A server of its own, with one run at a time and two more in its queue.
SERVER = {
    "base_url": os.environ["CONTREE_TEST_NARROW_URL"],
    "token": os.environ["CONTREE_TEST_NARROW_TOKEN"],
}
IMAGE = "tag:tiny:1"


@pytest.fixture
def occupied(connect):
    """A client of that server, and a run that holds its only place."""
    client = connect(**SERVER)
    held = ClosableStreamRepr(value="", close=False)
    operation = client.spawn_instance("cat", IMAGE, stdin=held, disposable=True, timeout=60).uuid
    while client.get_operation_status(operation).status != OperationStatus.EXECUTING:
        pass
    yield client, operation
    client.cancel_operation(operation)
    client.wait_operation(operation, timeout=60)


def test_runs_wait_for_their_turn(occupied):
    client, _ = occupied
    waiting = [client.spawn_instance("true", IMAGE, disposable=True).uuid for _ in range(2)]
    for operation in waiting:
        status = client.get_operation_status(operation)
        assert (status.status, status.duration) == (OperationStatus.PENDING, 0)
    pending = client.list_operations(status="PENDING")
    assert {operation.uuid for operation in pending} == set(waiting)

    known = {operation.uuid for operation in client.iter_operations()}
    with pytest.raises(RateLimitError) as raised:
        client.spawn_instance("true", IMAGE, disposable=True)
    assert raised.value.status == 429
    assert raised.value.retry_after is not None
    # It was refused before anything was done.
    assert {operation.uuid for operation in client.iter_operations()} == known

    for operation in waiting:
        client.cancel_operation(operation)
        done = client.wait_operation(operation, timeout=60)
        assert done.status == OperationStatus.CANCELLED


async def test_refused_runs_are_tried_again():
    client_class = import_module("contree_client.aiohttp").ContreeAsyncClient
    policy = RetryPolicy(delays=(0.05,), max_attempts=None)
    async with client_class(**SERVER, retry=policy) as client:
        before = {operation.uuid for operation in await client.list_operations(limit=1000)}

        async def run() -> str:
            spawned = await client.spawn_instance("true", IMAGE, disposable=True)
            done = await client.wait_operation(spawned.uuid, timeout=60)
            assert done.status == OperationStatus.SUCCESS
            return spawned.uuid

        runs = await asyncio.gather(*(run() for _ in range(8)))
        after = {operation.uuid for operation in await client.list_operations(limit=1000)}
    assert len(set(runs)) == 8
    # None was started twice.
    assert after - before == set(runs)
