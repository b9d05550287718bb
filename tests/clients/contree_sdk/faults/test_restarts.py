"""A server that is killed while runs wait, and started again at the same address."""

import asyncio
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from contree_sdk.auth import JWTAuth
from contree_sdk.sdk.exceptions import FailedOperationError

from contree_sdk import Contree
from door import Door
from package import OURS

PROGRAM = Path(os.environ["CONTREE_TEST_BIN"], "contree")
TINY = Path(os.environ["CONTREE_TEST_TINY"])


class Server:
    """A server of this test's own. It runs one thing at a time; the rest waits for its turn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.start()

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(PROGRAM, "serve", "--listen", "127.0.0.1:0"),
                    *("--data-dir", self._folder / "data", "--instance-max-concurrency", "1"),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("listening on "):
                self.url = line.split()[-1]
                return
        pytest.fail((self._folder / "log").read_text())

    @property
    def token(self) -> str:
        return (self._folder / "data/admin.token").read_text().strip()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json"):
        request = urllib.request.Request(
            f"{self.url}/v1{path}",
            data=body,
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": kind},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


async def statuses(server: Server, wanted: dict[str, int]) -> None:
    """Waits until there are so many operations of each status."""
    async with asyncio.timeout(60):
        while True:
            listed = await asyncio.to_thread(server.ask, "/operations")
            found = [operation["status"] for operation in listed]
            if all(found.count(status) == number for status, number in wanted.items()):
                return


@pytest.mark.skipif(not OURS, reason="the published package loses what it asks for meanwhile")
async def test_runs_wait_through_a_restart(config, server):
    door = Door(server.url)
    client = Contree(replace(config, auth=JWTAuth(token=server.token, base_url=door.url)))
    file = server.ask("/files", TINY.read_bytes(), "application/octet-stream")["uuid"]
    request = {"registry": {"url": f"upload:{file}"}, "tag": "tiny:1"}
    server.ask("/images/import", json.dumps(request).encode())
    await statuses(server, {"SUCCESS": 1})
    image = await client.images.use("tiny:1")

    # Started by themselves: a run whose answer is lost on the way is not asked for again.
    executing = asyncio.ensure_future(await image.run("sleep", args=["3000"]).start())
    await statuses(server, {"EXECUTING": 1})
    started = [await image.run("echo", args=[str(n)]).start() for n in range(5)]
    waiting = [asyncio.ensure_future(run) for run in started]
    await statuses(server, {"EXECUTING": 1, "PENDING": 5})
    async with asyncio.timeout(60):
        while not door.count("GET /v1/operations/events"):
            await asyncio.sleep(0.02)

    door.shut()
    server.kill()
    server.start()
    door.server = server.url
    door.open_again()

    ends = await asyncio.gather(executing, *waiting, return_exceptions=True)
    # What was running when the server was killed has failed, and says so.
    assert isinstance(ends[0], FailedOperationError)
    assert "server" in ends[0].error
    # What waited for its turn has had it.
    assert [end.stdout for end in ends[1:]] == [f"{n}\n" for n in range(5)]
