"""The asynchronous client as it is meant to be used: many things at once."""

import asyncio
from importlib import import_module

import pytest

from conftest import TOKEN, URL
from contree_client import ClosableStreamRepr, OperationStatus, decode_chunk


@pytest.fixture(params=["aiohttp", "httpx"])
def client_class(request):
    return import_module(f"contree_client.{request.param}").ContreeAsyncClient


@pytest.fixture
async def client(client_class):
    async with client_class(TOKEN, base_url=URL) as client:
        yield client


async def test_many_runs_at_once(client, debian):
    async def square(number: int) -> int:
        spawned = await client.spawn_instance(
            f"echo $(({number} * {number}))", debian, shell=True, disposable=True
        )
        done = await client.wait_operation(spawned.uuid, timeout=60)
        assert done.status == OperationStatus.SUCCESS
        return int(done.metadata.result.stdout.as_text())

    squares = await asyncio.gather(*(square(number) for number in range(16)))
    assert squares == [number * number for number in range(16)]


async def test_branches_of_one_image(client, debian):
    async def child(parent: str, name: str) -> str:
        spawned = await client.spawn_instance("touch", parent, args=[f"/srv/{name}"])
        return (await client.wait_operation(spawned.uuid, timeout=60)).result.image

    trunk = await child(debian, "trunk")
    branches = await asyncio.gather(*(child(trunk, f"branch-{number}") for number in range(4)))
    assert len({trunk, *branches}) == 5
    for number, branch in enumerate(branches):
        listing = await client.inspect_image_list(branch, "/srv")
        assert {file.path for file in listing.files} == {"trunk", f"branch-{number}"}


async def test_two_readers_and_a_writer(client, debian):
    held = ClosableStreamRepr(value="", close=False)
    spawned = await client.spawn_instance("cat", debian, stdin=held, disposable=True, timeout=60)
    started = asyncio.Event()

    async def read() -> bytes:
        output = b""
        async for event in client.follow_operation_events(spawned.uuid, timeout=60):
            if event.type == "spawn":
                started.set()
            if event.type == "stdout":
                output += decode_chunk(event.data)
        return output

    async def write() -> None:
        await started.wait()
        for number in range(3):
            await client.operation_subprocess_stdin(spawned.uuid, 1, f"{number}\n", close=False)
        await client.operation_subprocess_stdin(spawned.uuid, 1, "", close=True)

    first, second, _ = await asyncio.gather(read(), read(), write())
    assert first == second == b"0\n1\n2\n"


async def test_many_processes_in_one_instance(client, debian):
    spawned = await client.spawn_instance("sleep", debian, args=["60"], disposable=True)
    async for event in client.iter_operation_events(spawned.uuid, follow=True):
        if event.type == "spawn":
            break

    async def process(number: int) -> str:
        spid = await client.operation_subprocess_create(
            spawned.uuid, "echo", args=[f"process {number}"]
        )
        async for event in client.iter_operation_events(spawned.uuid, follow=True, spid=spid):
            if event.type == "exit":
                break
        result = await client.operation_subprocess(spawned.uuid, spid)
        return result.stdout.as_text()

    outputs = await asyncio.gather(*(process(number) for number in range(8)))
    assert outputs == [f"process {number}\n" for number in range(8)]
    await client.cancel_operation(spawned.uuid)


async def test_waiting_may_be_given_up(client, debian):
    spawned = await client.spawn_instance("sleep", debian, args=["60"], disposable=True)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client.wait_operation(spawned.uuid)
    await client.cancel_operation(spawned.uuid)
    done = await client.wait_operation(spawned.uuid, timeout=60)
    assert done.status == OperationStatus.CANCELLED


async def test_uploads_and_downloads_stream_side_by_side(client, tree):
    async def download() -> int:
        return sum(
            [
                len(c)
                async for c in client.inspect_image_download_stream(
                    tree.image, f"{tree.root}/large"
                )
            ]
        )

    sizes = await asyncio.gather(*(download() for _ in range(4)))
    assert sizes == [3_000_000] * 4
