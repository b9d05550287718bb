"""How runs end other than by themselves, and what the server knows of it."""

import asyncio
from dataclasses import replace

import pytest
from contree_sdk.sdk.exceptions import (
    CancelledOperationError,
    FailedOperationError,
    NotFoundError,
    OperationTimedOutError,
)
from contree_sdk.sdk.objects.image_like.state import ImageState

from conftest import DEBIAN
from contree_sdk import Contree
from wire import ask


async def operation_of(marker: str, status: str) -> str:
    """The operation whose environment has this marker, once it has this status."""
    async with asyncio.timeout(30):
        while True:
            for summary in await asyncio.to_thread(ask, f"/operations?status={status}"):
                operation = await asyncio.to_thread(ask, f"/operations/{summary['uuid']}")
                if (operation["metadata"].get("env") or {}).get("MARKER") == marker:
                    return summary["uuid"]


async def end_of(operation: str) -> dict:
    """The operation, once it has ended."""
    async with asyncio.timeout(30):
        while True:
            found = await asyncio.to_thread(ask, f"/operations/{operation}")
            if found["status"] in ("SUCCESS", "FAILED", "CANCELLED"):
                return found


async def test_a_cancelled_task_cancels_its_run(config, unique):
    client = Contree(config)
    marker = unique("cancelled-task")
    image = await client.images.use(DEBIAN)
    task = asyncio.ensure_future(image.run("sleep", args=["60"], env={"MARKER": marker}))
    operation = await operation_of(marker, "EXECUTING")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await operation_of(marker, "CANCELLED") == operation


async def test_a_run_that_someone_else_cancels(config, unique):
    client = Contree(config)
    marker = unique("cancelled-elsewhere")
    image = await client.images.use(DEBIAN)
    task = asyncio.ensure_future(image.run("sleep", args=["60"], env={"MARKER": marker}))
    operation = await operation_of(marker, "EXECUTING")
    await asyncio.to_thread(ask, f"/operations/{operation}", "DELETE")
    with pytest.raises(CancelledOperationError) as raised:
        await task
    assert str(raised.value.operation_uuid) == operation


async def test_a_client_that_waits_no_longer_cancels_the_run(config, unique):
    client = Contree(replace(config, operation_run_timeout=0.6, operation_poll_secs_max=0.05))
    image = await client.images.use(DEBIAN, strict=True)
    # The run itself is given whole seconds: one. On a slow machine that may be over before the
    # client's request to cancel it arrives, so there are several attempts.
    for _ in range(10):
        marker = unique("timed-out")
        try:
            await image.run("sleep", args=["60"], env={"MARKER": marker})
        except OperationTimedOutError as error:
            operation = await end_of(str(error.operation_uuid))
            assert operation["metadata"]["env"]["MARKER"] == marker
            if operation["status"] == "CANCELLED":
                return
    pytest.fail("the run was not cancelled in any attempt")


def test_a_command_that_is_not_there(sdk, debian):
    prepared = debian.run("no-such-command")
    with pytest.raises(FailedOperationError) as raised:
        sdk.done(prepared)
    assert "spawn failed" in raised.value.error
    operation = ask(f"/operations/{raised.value.operation_uuid}")
    assert operation["error"] == raised.value.error
    # The image it was to run on is as it was.
    assert debian.state == ImageState.PULLED
    assert sdk.done(debian.run("true")).exit_code == 0


def test_an_image_that_is_not_there(sdk):
    for absent in ("never:heard-of", "00000000-1111-4222-8333-444444444444"):
        with pytest.raises(NotFoundError):
            sdk.done(sdk.of(sdk.client.images.use(absent)).run("true"))


async def test_many_runs_at_once(config):
    client = Contree(config)
    image = await client.images.use(DEBIAN)

    async def echo(number: int) -> str:
        return (await image.run("echo", args=[str(number)])).stdout

    outputs = await asyncio.gather(*(echo(number) for number in range(24)))
    assert outputs == [f"{number}\n" for number in range(24)]
