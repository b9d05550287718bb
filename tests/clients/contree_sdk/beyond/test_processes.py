"""Runs in the manner of the subprocess module, beside what the published package has of it."""

import time
from subprocess import PIPE

import pytest
from contree_sdk.sdk.exceptions import FailedOperationError, OperationTimedOutError

from forms import Blocking

# How long a test waits for what has to happen.
PATIENCE = 60


def ended(sdk, process) -> int:
    """Its exit code, once it has ended."""
    end = time.monotonic() + PATIENCE
    while (code := sdk.of(process.poll())) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return code


def test_input_that_nobody_reads_any_more(sdk, debian):
    process = debian.popen(["true"], stdin=PIPE)
    assert ended(sdk, process) == 0
    if isinstance(sdk, Blocking):
        process.stdin.write(b"late")
        process.stdin.close()
    assert sdk.of(process.communicate()) == ("", "")
    process = debian.popen(["true"], stdin=PIPE)
    assert ended(sdk, process) == 0
    assert sdk.of(process.communicate(b"late")) == ("", "")


def test_communicating_ends_the_input(sdk, debian):
    process = debian.popen(["cat"], stdin=PIPE)
    process.stdin.write(b"before it begins")
    assert sdk.of(process.communicate()) == ("before it begins", "")
    process = debian.popen(["cat"], stdin=PIPE)
    assert sdk.of(process.poll()) is None
    assert sdk.of(process.communicate(b"when it has begun")) == ("when it has begun", "")
    process = debian.popen(["cat"], stdin=PIPE)
    assert sdk.of(process.poll()) is None
    if isinstance(sdk, Blocking):
        process.stdin.write(b"by hand")
        process.stdin.close()
        assert sdk.of(process.communicate()) == ("by hand", "")


def test_communicating_takes_no_longer(sdk, debian):
    process = debian.popen(["sleep", "600"], timeout=700)
    assert sdk.of(process.poll()) is None
    with pytest.raises(OperationTimedOutError):
        sdk.of(process.communicate(timeout=0.5))


def test_a_failure_is_told_each_time(sdk, debian):
    process = debian.popen(["no-such-program"])
    for _ in range(2):
        with pytest.raises(FailedOperationError, match="no-such-program"):
            ended(sdk, process)
    with pytest.raises(FailedOperationError, match="no-such-program"):
        sdk.of(process.wait())
