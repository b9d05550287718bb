"""Runs that are followed, fed, signalled and joined while they go on."""

import io
import signal
import tarfile
from subprocess import PIPE

import pytest
from contree_sdk.sdk.exceptions import (
    ApiStatusCodeError,
    CancelledOperationError,
    FailedOperationError,
    NotFoundError,
)

# Writes a line for each line that it reads, and says first that it is there.
ECHO = "echo ready; while read line; do echo got $line; done; echo closed"


def lines(stream) -> str:
    return "".join(chunk.text for chunk in stream)


def test_output_is_there_while_the_run_goes_on(sdk, debian):
    run = sdk.of(debian.run(shell=ECHO, stdin=PIPE).start())
    assert str(run.uuid) in repr(run)
    stream = sdk.each(run.stream())
    assert next(stream).text == "ready\n"
    # The run waits for its input, so this was no output of a run that has ended.
    for word in ("one", "two"):
        sdk.of(run.write_stdin(f"{word}\n"))
        assert next(stream).data == f"got {word}\n".encode()
    sdk.of(run.close_stdin())
    assert lines(stream) == "closed\n"
    done = sdk.done(run)
    assert (done.exit_code, done.stdout) == (0, "ready\ngot one\ngot two\nclosed\n")


def test_a_stream_gives_the_image_at_its_end(sdk, debian):
    script = "echo out; echo err >&2; printf '\\303'; sleep 0.1; printf '\\274'; echo > /made"
    stream = debian.run(shell=script, disposable=False).stream()
    chunks = list(sdk.each(stream))
    assert {chunk.stream for chunk in chunks} == {"stdout", "stderr"}
    # A character that was written in two pieces is one all the same.
    assert "".join(one.text for one in chunks if one.stream == "stdout") == "out\nü"
    assert b"".join(one.data for one in chunks if one.stream == "stderr") == b"err\n"
    made = sdk.done(stream)
    assert made.uuid != debian.uuid
    assert "made" in {entry.name for entry in sdk.of(made.ls("/"))}


def test_events_tell_all(sdk, debian):
    events = list(sdk.each(debian.run(shell="echo text; exit 3").events()))
    kinds = [event.type for event in events]
    assert {"init", "spawn", "stdout", "exit", "completion"} <= set(kinds)
    assert kinds[-1] == "completion"
    (output,) = [event for event in events if event.type == "stdout"]
    assert (output.spid, output.data) == (1, b"text\n")
    numbers = [event.id for event in events]
    assert numbers == sorted(numbers)


def test_events_go_on_behind_one(sdk, debian):
    run = sdk.of(debian.run(shell="echo text").start())
    events = list(sdk.each(run.events()))
    behind = list(sdk.each(run.events(after=events[1].id)))
    assert behind == events[2:]


def test_further_processes(sdk, debian):
    run = sdk.of(debian.run(shell="echo of the command > /shared; cat", stdin=PIPE).start())
    # The file is there before its content is.
    script = "until grep . /shared; do sleep 0.01; done 2>/dev/null; exit 4"
    other = sdk.of(run.exec(shell=script))
    assert other.spid == 2
    result = sdk.done(other)
    assert (result.stdout, result.exit_code) == ("of the command\n", 4)

    fed = sdk.of(run.exec("tr", args=["a-z", "A-Z"], stdin=PIPE))
    sdk.of(fed.write("loud"))
    sdk.of(fed.close_stdin())
    assert lines(sdk.each(fed.stream())) == "LOUD"
    given = sdk.of(run.exec("cat", stdin=b"\x00\xff", stdout=bytes))
    assert sdk.done(given).stdout == b"\x00\xff"

    slow = sdk.of(run.exec("sleep", args=["3000"]))
    sdk.of(slow.kill())
    assert sdk.done(slow).signal == signal.SIGKILL
    with pytest.raises(ApiStatusCodeError):
        sdk.of(run.exec("no-such-program"))
    sdk.of(run.close_stdin())
    assert sdk.done(run).exit_code == 0
    with pytest.raises((NotFoundError, ApiStatusCodeError)):
        sdk.of(run.exec("true"))


@pytest.mark.parametrize("name", ["TERM", 15, signal.SIGTERM])
def test_signals(sdk, debian, name):
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    run = sdk.of(debian.run(shell=script).start())
    stream = sdk.each(run.stream())
    assert next(stream).text == "ready\n"
    sdk.of(run.signal(name))
    done = sdk.done(run)
    assert (done.stdout, done.exit_code) == ("ready\ntold\n", 5)


def test_killing_keeps_and_cancelling_does_not(sdk, debian):
    killed = sdk.of(
        debian.run(shell="echo > /kept; echo ready; sleep 3000", disposable=False).start()
    )
    assert next(sdk.each(killed.stream())).text == "ready\n"
    sdk.of(killed.kill())
    done = sdk.done(killed)
    assert (done.result.signal, done.exit_code) == (signal.SIGKILL, -1)
    assert "kept" in {entry.name for entry in sdk.of(done.ls("/"))}

    cancelled = sdk.of(debian.run("sleep", args=["3000"]).start())
    sdk.of(cancelled.cancel())
    with pytest.raises(CancelledOperationError):
        sdk.done(cancelled)


def test_a_run_is_found_again_by_its_number(sdk, open_sdk, debian):
    run = sdk.of(debian.run(shell=ECHO, stdin=PIPE).start())
    elsewhere = open_sdk()
    same = elsewhere.client.operations.attach(str(run.uuid))
    elsewhere.of(same.write_stdin("hello\n"))
    elsewhere.of(same.close_stdin())
    assert elsewhere.done(same).stdout == sdk.done(run).stdout == "ready\ngot hello\nclosed\n"
    # One that has ended is there too.
    assert elsewhere.done(elsewhere.client.operations.attach(run.uuid)).exit_code == 0


def test_a_command_that_is_not_there(sdk, debian):
    for follow in ("stream", "events"):
        with pytest.raises(FailedOperationError, match="no-such-command"):
            list(sdk.each(getattr(debian.run("no-such-command"), follow)()))


def test_output_without_end_is_followed(sdk, debian):
    run = sdk.of(debian.run("yes", truncate_output_at=10 * 1024 * 1024).start())
    stream, size = sdk.each(run.stream()), 0
    for chunk in stream:
        size += len(chunk.data)
        if size > 1024 * 1024:
            break
    sdk.of(run.kill())
    assert sdk.done(run).result.signal == signal.SIGKILL


# --- processes


def test_a_process_by_hand(sdk, debian):
    process = debian.popen(["sh", "-c", ECHO], stdin=PIPE)
    assert process.pid == 1
    assert sdk.of(process.poll()) is None
    sdk.of(process.terminate())
    assert sdk.of(process.wait()) == -1
    assert sdk.of(process.poll()) == -1
    assert process.returncode == -1


def test_a_process_is_spoken_to(sdk, debian):
    process = debian.popen(["cat"], text=True)
    assert sdk.of(process.communicate("a\nb\n")) == ("a\nb\n", "")
    process = debian.popen(["sleep", "3000"])
    sdk.of(process.send_signal(signal.SIGINT))
    sdk.of(process.wait())
    assert process.returncode == -1


# --- images


def test_searching(sdk, debian):
    script = "mkdir -p /srv/a && printf 'one\\nTwo\\nthree\\n' > /srv/a/x && echo two > /srv/a/y"
    image = sdk.done(debian.run(shell=script, disposable=False))
    found = sdk.of(image.grep("two", paths=["/srv"], case="insensitive"))
    assert [(one.path, one.line_number, one.line_text) for one in found] == [
        ("/srv/a/x", 2, "Two\n"), ("/srv/a/y", 1, "two\n"),
    ]  # fmt: skip
    assert found.truncated is False
    around = sdk.of(image.grep("Two", paths=["/srv/a"], before=1, after=1))
    assert [(one.line_text, one.is_match) for one in around] == [
        ("one\n", False), ("Two\n", True), ("three\n", False),
    ]  # fmt: skip
    few = sdk.of(image.grep("o", "e", paths=["/srv"], globs=["x"], max_total=1))
    assert (len(few), few.truncated) == (1, True)
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.of(image.grep("("))
    assert raised.value.status == 400
    with pytest.raises(NotFoundError):
        sdk.of(image.grep("x", paths=["/absent"]))


def test_archives(sdk, debian, tmp_path):
    image = sdk.of(debian.apply_files({"/srv/a/x": b"content", "/srv/y": b""}))
    packed = tarfile.open(fileobj=io.BytesIO(sdk.of(image.archive("/srv"))))
    assert {"srv/a/x", "srv/y"} <= set(packed.getnames())
    where = sdk.of(image.archive("/srv/a", tmp_path / "a.tar.gz", gzip=True))
    with tarfile.open(where, "r:gz") as packed:
        file = packed.extractfile("a/x")
        assert file is not None and file.read() == b"content"
    with pytest.raises(NotFoundError):
        sdk.of(image.archive("/absent"))


# --- what a run may


def test_who_runs_and_with_what(sdk, debian):
    done = sdk.done(debian.run(shell="id -u; id -g", uid=12, gid=34))
    assert done.stdout == "12\n34\n"
    script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '"
    assert sdk.done(debian.run(shell=script, networking=False)).stdout == "lo\n"
    kept = sdk.done(debian.run("true", cwd="/srv", preserve_cwd=True, disposable=False))
    assert sdk.done(kept.run("pwd")).stdout == "/srv\n"


def test_a_layer_that_grows_too_large(sdk, debian):
    run = debian.run(
        shell="head -c 5000000 /dev/zero > /big", disposable=False, max_layer_bytes=1000000
    )
    with pytest.raises(FailedOperationError, match="1000000|layer"):
        sdk.done(run)


def test_what_else_a_result_tells(sdk, debian):
    done = sdk.done(debian.run(shell="sleep 3000", timeout=3))
    assert done.result.timed_out is True
    assert done.result.signal == signal.SIGKILL
    assert done.result.operation_uuid
    assert done.result.metadata["timeout"] == 3
    assert sdk.done(debian.run("true")).result.signal is None
