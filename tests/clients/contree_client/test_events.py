"""The event log: its order, its filters, and reading on after an interruption."""

from datetime import UTC

import pytest

from conftest import TOKEN, URL
from contree_client import ClosableStreamRepr, OperationStatus, decode_chunk
from runs import run, shell
from transports import open_client


@pytest.fixture(scope="module")
def talkative(debian):
    """An ended run with many events."""
    client = open_client("sync-http", TOKEN, base_url=URL)
    script = "for i in $(seq 40); do echo line $i; read -r _; done; echo last >&2; exit 3"
    stdin = ClosableStreamRepr(value="\n" * 40)
    operation = client.spawn_instance(
        script, debian, shell=True, stdin=stdin, env={"MY_TOKEN": "s3cret", "PLAIN": "x"}
    ).uuid
    done = client.wait_operation(operation, timeout=60)
    client.close()
    assert done.metadata.result.state.exit_code == 3
    return done


def test_the_log_tells_the_whole_life(client, talkative):
    events = list(client.iter_operation_events(talkative.uuid))
    ids = [event.id for event in events]
    assert ids == sorted(set(ids))
    kinds = list(dict.fromkeys(event.type for event in events))
    assert [kind for kind in kinds if kind in ("stdin", "stdout", "stderr")]
    assert [kind for kind in kinds if not kind.startswith("std")] == [
        "init", "network", "spawn", "exit", "shutdown", "completion",
    ]  # fmt: skip
    assert all(event.ts.tzinfo == UTC for event in events)
    assert sorted(events, key=lambda event: event.ts) == events
    output = b"".join(decode_chunk(event.data) for event in events if event.type == "stdout")
    assert output.decode().splitlines() == [f"line {number}" for number in range(1, 41)]


def test_each_kind_carries_its_data(client, talkative, debian):
    events = {event.type: event for event in client.iter_operation_events(talkative.uuid)}
    spids = {kind: event.spid for kind, event in events.items() if kind != "completion"}
    assert spids == {kind: 0 if kind in ("init", "network", "shutdown") else 1 for kind in spids}
    assert events["completion"].spid is ...
    init = events["init"].data
    assert init.hostname == "linuxkit" and init.init_pid >= 1 and init.kernel
    assert {"lo"} < {interface.name for interface in events["network"].data.interfaces}
    spawn = events["spawn"].data
    assert (spawn.uid, spawn.gid, spawn.shell, spawn.cwd) == (0, 0, True, "/")
    assert (spawn.env["MY_TOKEN"], spawn.env["PLAIN"]) == ("<MASKED>", "x")
    assert spawn.truncate_at == 1_048_576
    end = events["exit"].data
    assert (end.code, end.signal, end.timed_out, end.pid) == (3, -1, False, spawn.pid)
    assert end.duration_ms >= 0
    assert events["shutdown"].data.reason == "job_complete"
    completion = events["completion"].data
    assert completion.status == OperationStatus.SUCCESS
    assert completion.result_image_uuid == talkative.result.image
    assert completion.duration_ms >= 0


def test_output_that_was_cut_is_counted(client, debian):
    done = shell(client, "head -c 5000 /dev/zero | tr '\\0' 'x'", debian, truncate_output_at=100)
    (cut,) = (e for e in client.iter_operation_events(done.uuid) if e.type == "truncated")
    assert (cut.data.stream, cut.data.bytes_emitted, cut.data.bytes_dropped) == (
        "stdout", 100, 4900,
    )  # fmt: skip


def test_reading_on_after_any_event(client, talkative):
    events = list(client.iter_operation_events(talkative.uuid))
    for position in (0, 1, len(events) // 2, len(events) - 2):
        known = events[position].id
        rest = events[position + 1 :]
        assert list(client.iter_operation_events(talkative.uuid, since=known)) == rest
        assert list(client.iter_operation_events(talkative.uuid, last_event_id=known)) == rest
        # The header is stronger.
        assert list(
            client.iter_operation_events(talkative.uuid, since=0, last_event_id=known)
        ) == rest  # fmt: skip
        follow = client.follow_operation_events(talkative.uuid, last_event_id=known, timeout=60)
        assert list(follow) == rest


def test_one_process_alone(client, talkative):
    events = list(client.iter_operation_events(talkative.uuid))
    for spid in (0, 1):
        own = [event for event in events if event.spid == spid]
        assert list(client.iter_operation_events(talkative.uuid, spid=spid)) == own
        assert list(client.follow_operation_events(talkative.uuid, spid=spid, timeout=60)) == own
    assert list(client.iter_operation_events(talkative.uuid, spid=7)) == []
    half = [event for event in events if event.spid == 1][3:]
    resumed = client.iter_operation_events(talkative.uuid, spid=1, since=half[0].id)
    assert list(resumed) == half[1:]


def test_following_from_the_first_moment(client, debian):
    operation = client.spawn_instance("echo a; echo b", debian, shell=True).uuid
    followed = list(client.follow_operation_events(operation, timeout=60))
    assert followed[0].type == "init" and followed[-1].type == "completion"
    assert list(client.iter_operation_events(operation)) == followed
    assert list(client.iter_operation_events(operation, follow=True)) == followed


def test_events_come_while_the_command_runs(client, debian):
    held = ClosableStreamRepr(value="", close=False)
    operation = client.spawn_instance("cat", debian, stdin=held, disposable=True, timeout=60).uuid
    said = []
    for event in client.follow_operation_events(operation, timeout=60):
        # Each line is an answer to the one before: nothing is held back on the way.
        if event.type == "spawn" or (event.type == "stdout" and len(said) < 5):
            if event.type == "stdout":
                said.append(decode_chunk(event.data).decode())
            close = len(said) == 5
            value = "" if close else f"line {len(said)}\n"
            client.operation_subprocess_stdin(operation, 1, value, close=close)
    assert said == [f"line {number}\n" for number in range(5)]
    assert event.type == "completion"


def test_following_ends_in_time(client, debian):
    operation = client.spawn_instance("sleep", debian, args=["60"], disposable=True).uuid
    with pytest.raises(TimeoutError):
        for _ in client.follow_operation_events(operation, timeout=0.5):
            pass
    client.cancel_operation(operation)


def test_a_stream_may_be_left_early(client, debian):
    operation = client.spawn_instance("sleep", debian, args=["60"], disposable=True).uuid
    stream = client.iter_operation_events(operation, follow=True)
    assert next(stream).type == "init"
    stream.close()
    client.cancel_operation(operation)
    done = client.wait_operation(operation, timeout=60)
    assert done.status == OperationStatus.CANCELLED
    # The log of a cancelled run is kept, and ends as every log does.
    assert [event.type for event in client.iter_operation_events(operation)][-1] == "completion"


def test_the_log_of_an_import(any_client, debian):
    operation = any_client.inspect_image(debian).operation_uuid
    events = list(any_client.iter_operation_events(operation))
    assert events[-1].type == "completion"
    assert events[-1].data.result_image_uuid == debian


def test_a_command_that_is_not_there(any_client, debian):
    operation = any_client.spawn_instance("no-such-command", debian).uuid
    events = list(any_client.follow_operation_events(operation, timeout=60))
    assert "spawn" not in [event.type for event in events]
    assert events[-2].data.reason == "spawn_failed"
    assert "no-such-command" in events[-1].data.error
    assert events[-1].data.status == OperationStatus.FAILED


def test_many_lines_are_all_there(any_client, debian):
    done = run(any_client, "seq", debian, args=["20000"], disposable=True)
    events = list(any_client.iter_operation_events(done.uuid, spid=1))
    output = b"".join(decode_chunk(event.data) for event in events if event.type == "stdout")
    assert output.decode().split() == [str(number) for number in range(1, 20001)]
