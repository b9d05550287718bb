"""Sessions: objects that move on with every run."""

import pytest
from contree_sdk.sdk.exceptions import (
    ContreeImageStateError,
    DisposableImageRunError,
    FailedOperationError,
)
from contree_sdk.sdk.objects.image_like.state import ImageState

from conftest import DEBIAN
from package import OURS


def test_a_session_moves_from_image_to_image(sdk, debian):
    session = debian.session()
    assert session.uuid == debian.uuid
    seen = [session.uuid]
    for number in range(3):
        done = sdk.done(session.run(shell=f"echo {number} >> /steps", disposable=False))
        assert done is session
        seen.append(session.uuid)
    assert len(set(seen)) == 4
    sdk.done(session.run("cat", args=["/steps"], disposable=False))
    assert session.stdout == "0\n1\n2\n"
    # Nothing was written: the session stays where it is.
    assert session.uuid == seen[-1]
    assert debian.uuid == seen[0]


def test_a_failing_or_slow_command_does_not_end_a_session(sdk, debian):
    session = debian.session()
    assert sdk.done(session.run(shell="exit 5", disposable=False)).exit_code == 5
    sdk.done(session.run(shell="echo kept > /kept; kill -9 $$", disposable=False))
    assert session.exit_code == -1
    sdk.done(session.run("cat", args=["/kept"], disposable=False))
    assert (session.stdout, session.state) == ("kept\n", ImageState.SUCCEEDED)


def test_sessions_of_one_image_do_not_meet(sdk, debian):
    one, two = debian.session(), debian.session()
    sdk.done(one.run(shell="echo one > /which", disposable=False))
    sdk.done(two.run(shell="echo two > /which", disposable=False))
    for session, name in ((one, "one\n"), (two, "two\n")):
        assert sdk.done(session.run("cat", args=["/which"], disposable=False)).stdout == name


def test_a_session_goes_back_by_an_image(sdk, debian):
    session = debian.session()
    sdk.done(session.run(shell="echo good > /state", disposable=False))
    checkpoint = sdk.of(sdk.client.images.use(session.uuid))
    sdk.done(session.run(shell="echo bad > /state", disposable=False))
    again = checkpoint.session()
    assert sdk.done(again.run("cat", args=["/state"], disposable=False)).stdout == "good\n"
    assert sdk.done(session.run("cat", args=["/state"], disposable=False)).stdout == "bad\n"


def test_a_disposable_run_ends_a_session(sdk, debian):
    session = debian.session()
    sdk.done(session.run("true"))
    with pytest.raises(DisposableImageRunError):
        session.run("true")


def test_a_command_that_is_not_there_fails_a_session(sdk, debian):
    session = debian.session()
    with pytest.raises(FailedOperationError) as raised:
        sdk.done(session.run("no-such-command", disposable=False))
    assert "no-such-command" in raised.value.error
    assert session.state == ImageState.FAILED
    if OURS:
        # Intended: a session is not lost by a wrong word. It stands where it stood.
        assert session.uuid == debian.uuid
        assert sdk.done(session.run("true", disposable=False)).exit_code == 0
    else:
        with pytest.raises(ContreeImageStateError):
            session.run("true")


def test_a_session_reads_and_takes_files(sdk):
    session = sdk.of(sdk.client.images.use(DEBIAN)).session()
    sdk.of(session.apply_files({"/in/file": b"content"}))
    assert sdk.of(session.read("/in/file")) == b"content"
    assert [entry.name for entry in sdk.of(session.ls("/in"))] == ["file"]
