"""What results tell beside what the published package's do."""

import pickle

import pytest


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
