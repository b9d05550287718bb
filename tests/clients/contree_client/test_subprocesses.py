"""Further processes in a running instance."""

import base64
import hashlib

import pytest

from contree_client import (
    BadRequestError,
    ClosableStreamRepr,
    ConflictError,
    NotFoundError,
    OperationStatus,
    decode_chunk,
)

HELD = ClosableStreamRepr(value="", close=False)


@pytest.fixture
def instance(client, debian):
    """A running instance that does nothing by itself."""
    operation = client.spawn_instance(
        "sleep", debian, args=["60"], timeout=60, env={"OUTER": "outer"}, hostname="outer-name"
    ).uuid
    # From here on the instance takes whatever it is given, although it may be still starting.
    while client.get_operation_status(operation).status == OperationStatus.PENDING:
        pass
    yield operation
    if not client.operation_terminal(operation):
        client.cancel_operation(operation)


def result(client, operation, spid):
    """The result of a process, once its end is in the log."""
    for event in client.iter_operation_events(operation, follow=True, spid=spid):
        if event.type == "exit":
            return client.operation_subprocess(operation, spid)
    raise AssertionError("the log has no end of the process")


def test_a_process_runs_in_the_instance(client, instance):
    spid = client.operation_subprocess_create(instance, "echo", args=["hello", "there"])
    assert spid >= 2
    done = result(client, instance, spid)
    assert done.stdout.as_text() == "hello there\n"
    assert (done.state.exit_code, done.state.timed_out) == (0, False)
    assert done.resources.max_rss > 0
    second = client.operation_subprocess_create(instance, "echo again >&2; exit 4", shell=True)
    assert second > spid
    done = result(client, instance, second)
    assert (done.stderr.as_text(), done.state.exit_code) == ("again\n", 4)


def test_it_shares_what_the_instance_has(client, instance):
    script = "pwd; id -u; id -g; hostname; echo $OUTER $INNER; mkdir /srv/by-the-other"
    spid = client.operation_subprocess_create(
        instance, script, shell=True, env={"INNER": "inner"}, cwd="/tmp"
    )
    assert result(client, instance, spid).stdout.as_text().split() == [
        "/tmp", "0", "0", "outer-name", "outer", "inner",
    ]  # fmt: skip
    spid = client.operation_subprocess_create(
        instance, "ls -d /srv/by-the-other; id -u; id -g", shell=True, uid=7, gid=8
    )
    assert result(client, instance, spid).stdout.as_text().split() == [
        "/srv/by-the-other",
        "7",
        "8",
    ]


def test_input_is_streamed_in_order(client, instance):
    spid = client.operation_subprocess_create(instance, "cat", stdin=HELD)
    running = client.operation_subprocess(instance, spid)
    assert (running.state.exit_code, running.state.signal) == (-1, -1)
    for number in range(5):
        client.operation_subprocess_stdin(instance, spid, f"{number}\n", close=False)
    binary = base64.b64encode(b"\x00\xff").decode()
    client.operation_subprocess_stdin(instance, spid, binary, encoding="base64", close=True)
    done = result(client, instance, spid)
    assert done.stdout.as_bytes() == b"0\n1\n2\n3\n4\n\x00\xff"
    assert done.state.exit_code == 0


def test_large_input_is_streamed(client, instance):
    spid = client.operation_subprocess_create(instance, "sha256sum", stdin=HELD)
    chunk = base64.b64encode(b"0123456789abcdef" * 32768).decode()
    for _ in range(3):
        client.operation_subprocess_stdin(instance, spid, chunk, encoding="base64", close=False)
    client.operation_subprocess_stdin(instance, spid, "")
    digest = hashlib.sha256(b"0123456789abcdef" * 32768 * 3).hexdigest()
    assert result(client, instance, spid).stdout.as_text() == f"{digest}  -\n"


def test_initial_input_is_closed_unless_held(client, instance):
    spid = client.operation_subprocess_create(
        instance, "cat", stdin=ClosableStreamRepr(value="all of it")
    )
    assert result(client, instance, spid).stdout.as_text() == "all of it"
    silent = client.operation_subprocess_create(instance, "cat")
    assert result(client, instance, silent).stdout.as_text() == ""


def test_input_that_nobody_waits_for(client, instance):
    closed = client.operation_subprocess_create(instance, "sleep", args=["60"])
    with pytest.raises(ConflictError):
        client.operation_subprocess_stdin(instance, closed, "more")
    held = client.operation_subprocess_create(instance, "sleep", args=["60"], stdin=HELD)
    client.operation_subprocess_stdin(instance, held, "last", close=True)
    with pytest.raises(ConflictError):
        client.operation_subprocess_stdin(instance, held, "more")
    with pytest.raises(NotFoundError):
        client.operation_subprocess_stdin(instance, 99, "more")


@pytest.mark.parametrize(
    ("signal", "number"),
    [(None, 9), ("TERM", 15), ("SIGINT", 2), ("1", 1), ("kill", 9)],
)
def test_a_process_is_signalled_right_after_it_was_made(client, instance, signal, number):
    spid = client.operation_subprocess_create(instance, "sleep", args=["60"])
    client.operation_subprocess_kill(instance, spid, signal=signal)
    state = result(client, instance, spid).state
    assert (state.exit_code, state.signal, state.timed_out) == (-1, number, False)
    with pytest.raises((NotFoundError, ConflictError)):
        client.operation_subprocess_kill(instance, spid)
    assert client.get_operation_status(instance).status == OperationStatus.EXECUTING


def test_a_signal_reaches_the_whole_group(client, instance):
    spid = client.operation_subprocess_create(instance, "sleep 60 & echo ready; wait", shell=True)
    for event in client.iter_operation_events(instance, follow=True, spid=spid):
        if event.type == "stdout":
            break
    client.operation_subprocess_kill(instance, spid)
    assert result(client, instance, spid).state.signal == 9
    # The others may still be on their way out. The pattern does not match itself.
    script = """
        for attempt in $(seq 200); do
            left=$(cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 6[0]' | wc -l)
            [ "$left" = 1 ] && break
            sleep 0.1
        done
        echo $left
    """
    count = client.operation_subprocess_create(instance, script, shell=True)
    # One is left: the main process of the instance.
    assert result(client, instance, count).stdout.as_text() == "1\n"


def test_what_cannot_be_signalled(client, instance):
    with pytest.raises(NotFoundError):
        client.operation_subprocess_kill(instance, 99)
    with pytest.raises(NotFoundError):
        client.operation_subprocess(instance, 99)
    with pytest.raises(BadRequestError) as raised:
        client.operation_subprocess_kill(instance, 1, signal="NOPE")
    assert "signal" in raised.value.error


def test_a_command_that_is_not_there(client, instance):
    with pytest.raises(BadRequestError) as raised:
        client.operation_subprocess_create(instance, "no-such-command")
    assert "no-such-command" in raised.value.error


def test_ending_the_main_process_keeps_everything(client, instance):
    spid = client.operation_subprocess_create(
        instance, "echo kept > /srv/kept; sleep 60", shell=True
    )
    written = client.operation_subprocess_create(
        instance, "until [ -s /srv/kept ]; do :; done", shell=True
    )
    assert result(client, instance, written).state.exit_code == 0
    client.operation_subprocess_kill(instance, 1, signal="TERM")
    done = client.wait_operation(instance, timeout=60)
    assert done.status == OperationStatus.SUCCESS
    assert done.metadata.result.state.signal == 15
    assert client.inspect_image_download(done.result.image, "/srv/kept") == b"kept\n"
    # What still ran was ended with it, and its result is there.
    left = client.operation_subprocess(instance, spid)
    assert left.state.signal == 9
    assert client.operation_subprocess(instance, 1).state.signal == 15
    with pytest.raises(ConflictError):
        client.operation_subprocess_create(instance, "true")
    with pytest.raises(ConflictError):
        client.operation_subprocess_kill(instance, 1)


def test_its_events_are_its_own(client, instance):
    spids = [
        client.operation_subprocess_create(instance, "echo", args=[f"process {number}"])
        for number in range(3)
    ]
    for number, spid in enumerate(spids):
        result(client, instance, spid)
        events = list(client.iter_operation_events(instance, spid=spid))
        assert {event.spid for event in events} == {spid}
        assert [event.type for event in events] == ["spawn", "stdout", "exit"]
        assert decode_chunk(events[1].data) == f"process {number}\n".encode()
