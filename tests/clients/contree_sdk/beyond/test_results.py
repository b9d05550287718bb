"""What results tell beside what the published package's do."""

import ast
import asyncio
import pickle
import re
from pathlib import Path
from textwrap import dedent

import pytest

from conftest import DEBIAN
from contree_sdk import Contree


@pytest.fixture
def outcome(sdk, debian):
    return sdk.done(debian.run(shell="echo text; echo more >&2; kill -9 $$", disposable=False))


def told(result) -> tuple:
    return (
        result.stdout_bytes,
        result.stderr_bytes,
        result.truncated,
        result.timed_out,
        result.signal,
        result.operation_uuid,
        result.metadata,
        result.cost,
    )


def test_a_kept_result_tells_everything(outcome):
    result = outcome.result
    assert told(result)[:5] == (b"text\n", b"more\n", False, False, 9)
    assert told(pickle.loads(pickle.dumps(result))) == told(result)


def test_the_result_of_a_further_process_can_be_kept(sdk, debian):
    run = sdk.of(debian.run("sleep", args=["600"]).start())
    process = sdk.of(run.exec(shell="echo beside; exit 4"))
    result = sdk.done(process)
    sdk.of(run.cancel())
    again = pickle.loads(pickle.dumps(result))
    assert (again.stdout, again.exit_code, again.operation_uuid) == ("beside\n", 4, run.uuid)
    assert told(again) == told(result)


def test_an_image_can_be_kept_and_used_elsewhere(sdk, outcome):
    again = pickle.loads(pickle.dumps(outcome))
    assert (again.uuid, again.state, again.stdout) == (outcome.uuid, outcome.state, "text\n")
    assert sdk.done(again.run("true")).exit_code == 0


class Place:
    """Somewhere to write to, and nothing more."""

    def __init__(self, error=None):
        self.written = b""
        self._error = error

    def write(self, output: bytes) -> None:
        if self._error:
            raise self._error
        self.written += output


def test_output_goes_wherever_it_can_be_written(sdk, debian):
    place = Place()
    done = sdk.done(debian.run(shell="echo text", stdout=place))
    assert done.stdout is place
    assert place.written == b"text\n"


def test_output_without_a_place_takes_nothing_else_away(sdk, debian):
    session = debian.session()
    full = Place(OSError("the disk is full"))
    prepared = session.run(shell="echo text; echo kept > /kept", stdout=full, disposable=False)
    with pytest.raises(OSError, match="the disk is full"):
        sdk.done(prepared)
    assert (session.state, session.stdout) == ("SUCCEEDED", "text\n")
    assert sdk.of(session.read("/kept")) == b"kept\n"


async def test_a_prepared_run_many_times_at_once(config):
    """As docs/python-sdk.md has it."""
    text = (Path(__file__).parents[4] / "docs/python-sdk.md").read_text()
    (block,) = (block for block in re.findall(r"(?:(?:    .*)?\n)+", text) if "gather(" in block)
    names = {"image": await Contree(config).images.use(DEBIAN), "asyncio": asyncio}
    code = compile(dedent(block), "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await eval(code, names)
    assert len({done.stdout for done in names["results"]}) == 100
