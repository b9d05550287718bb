"""Runs: every field of the request, and what comes back."""

import base64
from datetime import datetime

import pytest

from contree_client import (
    BadRequestError,
    ClosableStreamRepr,
    InstanceNetworking,
    InstanceResourcesLimits,
    NotFoundError,
    OperationStatus,
    StreamRepr,
)
from runs import run, shell, stdout


def test_a_run_from_request_to_result(client, debian):
    spawned = client.spawn_instance("echo", debian, args=["hello", "two words"], disposable=True)
    assert (spawned.command, spawned.args) == ("echo", ["hello", "two words"])
    done = client.wait_operation(spawned.uuid, timeout=60)
    assert (done.uuid, done.kind, done.status) == (
        spawned.uuid, "instance", OperationStatus.SUCCESS,
    )  # fmt: skip
    assert (done.error, done.image_uuid) == (None, debian)
    assert datetime.fromisoformat(done.created_at).tzinfo is not None
    assert done.duration > 0
    result = done.metadata.result
    assert (result.stdout.value, result.stdout.encoding) == ("hello two words\n", "ascii")
    assert result.stdout.truncated is False
    assert result.stderr.as_text() == ""
    state = result.state
    assert (state.exit_code, state.timed_out, state.core_dump) == (0, False, False)
    assert state.pid > 0
    # Nothing was kept.
    assert (done.result.image, done.result.tag, done.result_image_uuid) == (None, None, None)


def test_resources_are_measured(any_client, debian):
    script = (
        "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; head -c 8000000 /dev/zero | tail -c 1"
    )
    done = shell(any_client, script, debian)
    used = done.metadata.result.resources
    assert used.user_cpu_time > 0
    assert used.system_cpu_time >= 0
    assert used.max_rss > 1000
    assert used.page_faults > 0
    assert used.voluntary_switches > 0
    assert used.elapsed_time >= used.user_cpu_time / 2
    assert used.monotonic_time > 0
    assert used.cost == 0
    for zero in (used.signals, used.swaps, used.shared_memory, used.unshared_memory):
        assert zero == 0
    assert done.consumed_cpu == pytest.approx(used.user_cpu_time + used.system_cpu_time)
    assert done.consumed_memory == used.max_rss


def test_what_a_run_writes_becomes_an_image(client, debian):
    done = shell(client, "echo kept > /srv/kept; rm /etc/motd", debian, disposable=False)
    image = done.result.image
    assert image not in (None, debian)
    assert done.result_image_uuid == image
    assert done.image_size > 0
    assert client.inspect_image_download(image, "/srv/kept") == b"kept\n"
    assert client.check_image_file(image, "/etc/motd") is False
    assert stdout(shell(client, "cat /srv/kept", image)) == "kept\n"
    assert client.check_image_file(debian, "/srv/kept") is False


def test_a_run_that_changes_nothing_returns_its_own_image(any_client, debian):
    assert run(any_client, "true", debian).result.image == debian


def test_an_image_is_named_by_its_tag(any_client, debian):
    assert run(any_client, "true", "tag:debian:bookworm").result.image == debian


def test_a_failing_command_is_a_success_with_its_exit_code(any_client, debian):
    done = run(any_client, "echo out; echo bad >&2; exit 7", debian, shell=True)
    result = done.metadata.result
    assert result.state.exit_code == 7
    assert (result.stdout.as_text(), result.stderr.as_text()) == ("out\n", "bad\n")


def test_a_command_that_is_not_there_fails_the_operation(any_client, debian):
    operation = any_client.spawn_instance("no-such-command", debian).uuid
    done = any_client.wait_operation(operation, timeout=60)
    assert done.status == OperationStatus.FAILED
    assert "spawn failed" in done.error and "no-such-command" in done.error
    assert done.result_image_uuid is None


def test_where_and_who_a_command_is(client, debian):
    done = shell(
        client, "pwd; id -u; id -g; hostname; echo $GREETING", debian,
        cwd="/made/when/missing", uid=1234, gid=567, hostname="a-name", env={"GREETING": "hi"},
    )  # fmt: skip
    assert stdout(done).split() == ["/made/when/missing", "1234", "567", "a-name", "hi"]
    metadata = done.metadata
    assert (metadata.cwd, metadata.uid, metadata.gid) == ("/made/when/missing", 1234, 567)
    assert (metadata.hostname, metadata.env) == ("a-name", {"GREETING": "hi"})


def test_defaults_are_those_of_the_contract(any_client, debian):
    done = shell(any_client, "pwd; id -u; id -g; hostname; echo $PATH", debian)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert stdout(done).split() == ["/", "0", "0", "linuxkit", path]
    assert done.metadata.truncate_output_at == 1_048_576


def test_the_environment_may_be_preserved(any_client, debian):
    kept = shell(
        any_client, ":", debian, disposable=False, preserve_env=True, env={"KEEP": "1", "DROP": "2"}
    ).result.image
    assert kept != debian
    # Also without a shell.
    assert stdout(run(any_client, "printenv", kept, args=["KEEP"], disposable=True)) == "1\n"
    again = shell(
        any_client, ":", kept, disposable=False, preserve_env=True, env={"DROP": "", "KEEP": "3"}
    ).result.image
    assert stdout(shell(any_client, "echo $KEEP; echo ${DROP-gone}", again)).split() == [
        "3",
        "gone",
    ]
    assert stdout(shell(any_client, "echo ${KEEP-none}", debian, env={"OTHER": "1"})) == "none\n"


def test_the_working_folder_may_be_preserved(any_client, debian):
    image = shell(
        any_client, "cd /", debian, disposable=False, preserve_cwd=True, cwd="/srv/work"
    ).result.image
    assert stdout(run(any_client, "pwd", image, disposable=True)) == "/srv/work\n"


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        (ClosableStreamRepr(value="plain\ntext"), b"plain\ntext"),
        (ClosableStreamRepr(value="schön ✓", encoding="ascii"), "schön ✓".encode()),
        (ClosableStreamRepr(value="AP/+", encoding="base64"), b"\x00\xff\xfe"),
        (ClosableStreamRepr(value="", close=True), b""),
    ],
    ids=["plain", "beyond-ascii", "base64", "empty"],
)
def test_input_arrives_as_it_was(client, debian, stdin, expected):
    done = run(client, "cat", debian, stdin=stdin, disposable=True)
    assert done.metadata.result.stdout.as_bytes() == expected


def test_large_input_and_output_pass(client, debian):
    content = bytes(range(256)) * 4096
    stdin = ClosableStreamRepr(value=base64.b64encode(content).decode(), encoding="base64")
    done = run(
        client, "cat", debian, stdin=stdin, disposable=True, truncate_output_at=10 * 1024 * 1024
    )
    result = done.metadata.result
    assert (result.stdout.encoding, result.stdout.truncated) == ("base64", False)
    assert result.stdout.as_bytes() == content


def test_output_is_cut_where_asked(any_client, debian):
    done = shell(any_client, "head -c 5000 /dev/zero | tr '\\0' 'x'; echo y >&2", debian,
                 truncate_output_at=1000)  # fmt: skip
    result = done.metadata.result
    assert result.stdout.truncated is True
    assert result.stdout.as_bytes() == b"x" * 1000
    assert (result.stderr.truncated, result.stderr.as_text()) == (False, "y\n")


def test_a_timeout_ends_the_command_and_keeps_its_work(any_client, debian):
    done = run(
        any_client, "echo begun > /srv/begun; echo out; sleep 60", debian, shell=True, timeout=3
    )
    state = done.metadata.result.state
    assert (state.timed_out, state.signal, state.exit_code) == (True, 9, -1)
    assert stdout(done) == "out\n"
    assert any_client.inspect_image_download(done.result.image, "/srv/begun") == b"begun\n"


def test_a_signal_is_told(any_client, debian):
    done = run(any_client, "kill -SEGV $$", debian, shell=True, disposable=True)
    state = done.metadata.result.state
    assert (state.exit_code, state.signal, state.timed_out) == (-1, 11, False)


def test_the_network_can_be_left_out(any_client, debian):
    script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"
    alone = shell(any_client, script, debian, networking=InstanceNetworking(enabled=False))
    assert stdout(alone) == "lo\n"
    assert stdout(shell(any_client, script, debian)).split() == ["lo", "eth0"]


def test_too_much_written_fails_and_keeps_nothing(any_client, debian):
    operation = any_client.spawn_instance(
        "head -c 8000000 /dev/urandom > /srv/large", debian, shell=True,
        resources_limits=InstanceResourcesLimits(max_layer_bytes=1_000_000),
    ).uuid  # fmt: skip
    done = any_client.wait_operation(operation, timeout=60)
    assert done.status == OperationStatus.FAILED
    assert "max_layer_bytes" in done.error
    assert done.result_image_uuid is None


def test_an_encoding_is_chosen_by_the_bytes(any_client, debian):
    for text, encoding in (
        ("tab\\tok\\r\\n", "ascii"),
        ("\\033[1m", "base64"),
        ("\\303\\266", "base64"),
    ):
        stream = shell(any_client, f"printf '{text}'", debian).metadata.result.stdout
        assert stream.encoding == encoding
        assert StreamRepr.from_bytes(stream.as_bytes()) == StreamRepr(stream.value, encoding)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": 100_000}, "timeout"),
        ({"timeout": "soon"}, "timeout"),
        ({"truncate_output_at": 20_000_000}, "truncate_output_at"),
        ({"uid": -1}, "uid"),
        ({"cwd": "relative"}, "cwd"),
        ({"env": {"A": 1}}, "env"),
        ({"args": "one"}, "args"),
        ({"stdin": ClosableStreamRepr(value="#", encoding="base64")}, "stdin"),
    ],
)
def test_a_bad_field_is_named(any_client, debian, fields, name):
    with pytest.raises(BadRequestError) as raised:
        any_client.spawn_instance("true", debian, **fields)
    assert name in raised.value.error


def test_an_image_that_is_not_there(any_client):
    with pytest.raises(NotFoundError):
        any_client.spawn_instance("true", "00000000-1111-4222-8333-444444444444")
    with pytest.raises(NotFoundError):
        any_client.spawn_instance("true", "tag:not:there")
    with pytest.raises(BadRequestError):
        any_client.spawn_instance("true", "neither-uuid-nor-tag")
