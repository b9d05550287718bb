"""Waiting for a run while what tells of its end breaks. The result comes all the same, once.

The published package asks again and again; ours is told, over the feed of all operations and, where
a server has none, over the events of the operation. What is broken here is what ours waits on.
"""

import asyncio
import uuid
from dataclasses import replace

import pytest
from contree_sdk.auth import JWTAuth

from conftest import DEBIAN, TOKEN, URL
from contree_sdk import Contree
from door import Door, broken, cut_after, refused, reset, silent, streamed
from package import OURS
from wire import ask

FEED = "GET /v1/operations/events"
EVENTS = "GET /v1/operations/[0-9a-f-]{36}/events"
RESULT = "GET /v1/operations/[0-9a-f-]{36}$"
HALF_A_FRAME = b'event: operation\ndata: {"uuid": "01'
IN_BAND = b": stream ended with error\n\nevent: sse_error\ndata: the server is shutting down\n\n"


@pytest.fixture
def door():
    door = Door(URL)
    yield door
    door.shut()


@pytest.fixture
def through(open_sdk, door):
    def through(**settings):
        return open_sdk(auth=JWTAuth(token=TOKEN, base_url=door.url), **settings)

    return through


def result_comes(sdk, door, seconds: float = 0.3) -> None:
    image = sdk.of(sdk.client.images.use(DEBIAN))
    # Long enough that something is waited on, and break it can.
    done = sdk.done(image.run(shell=f"sleep {seconds}; echo whole"))
    assert (done.stdout, done.exit_code) == ("whole\n", 0)
    assert door.count("POST /v1/instances$") == 1


BREAKS = {
    "reset": broken,
    "ended at once": streamed(b""),
    "ended after half a frame": streamed(HALF_A_FRAME),
    "reset after half a frame": streamed(HALF_A_FRAME, reset),
    "ended by the server": streamed(IN_BAND),
    "not a stream": refused(200, "what is this"),
    "busy": refused(429, "too many", Retry_After="1"),
    "failing": refused(500, "internal error 19"),
    "away": refused(503, "the server is shutting down"),
}


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
def test_the_feed_breaks(through, door, fault):
    door.put(FEED, fault, fault)
    result_comes(through(), door)
    assert (door.count(FEED) > 0) is OURS


@pytest.mark.parametrize("end", [None, reset], ids=["ended", "reset"])
def test_the_feed_breaks_within_what_it_tells(through, door, end):
    door.put(FEED, cut_after(b'"uuid":', end))
    result_comes(through(), door)


def test_the_feed_never_begins(through, door):
    # That a feed falls silent later is tested with the Rust SDK, where its bound can be set.
    door.put(FEED, silent)
    result_comes(through(transport_timeout=5), door)


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_server_without_the_feed(through, door, status):
    door.keep(FEED, refused(status, "no such thing"))
    # Who hears of the end while it is told that there is no feed asks for no events.
    result_comes(through(), door, 3 if OURS else 0.3)
    assert (door.count(EVENTS) > 0) is OURS


@pytest.mark.parametrize("fault", BREAKS.values(), ids=BREAKS)
def test_the_events_of_the_operation_break(through, door, fault):
    door.keep(FEED, refused(404, "no such thing"))
    door.put(EVENTS, fault)
    result_comes(through(), door)


@pytest.mark.parametrize("fault", [broken, refused(500, "x"), refused(503, "x"), refused(429, "x")])
def test_the_result_cannot_be_had_at_once(through, door, fault):
    if not OURS:
        pytest.skip("the published package gives up at the first failure")
    door.put(RESULT, fault, fault)
    result_comes(through(), door)


async def test_many_runs_while_everything_breaks(config, door):
    """Every stream is cut again and again; each run has its own result, and none ran twice."""
    if not OURS:
        pytest.skip("the published package gives up at the first failure")
    for _ in range(6):
        door.put(FEED, cut_after(b"event: operation\ndata: {"), broken, streamed(IN_BAND))
        door.put(RESULT, broken, refused(503, "not now"))
    client = Contree(replace(config, auth=JWTAuth(token=TOKEN, base_url=door.url)))
    image = await client.images.use(DEBIAN)
    marker = uuid.uuid4().hex

    async def run(number: int) -> str:
        return (await image.run("echo", args=[str(number)], env={"MARKER": marker})).stdout

    outputs = await asyncio.gather(*(run(number) for number in range(40)))
    assert outputs == [f"{number}\n" for number in range(40)]
    assert door.count("POST /v1/instances$") == 40
    recent = await asyncio.to_thread(ask, "/operations?limit=60")
    operations = [await asyncio.to_thread(ask, f"/operations/{one['uuid']}") for one in recent]
    environments = [operation["metadata"].get("env") or {} for operation in operations]
    assert sum(one.get("MARKER") == marker for one in environments) == 40
