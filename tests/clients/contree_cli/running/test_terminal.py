"""Standard input, Ctrl-C, and pipes that close: what ties a run to the terminal before it."""

import hashlib
import signal
import subprocess

from person import finished, read_until


def test_input_is_piped_through(debian):
    assert debian("run", "/bin/sh", stdin=b"echo from stdin; uname\n").text == "from stdin\nLinux\n"
    # More than fits into the request: it follows in parts, in order.
    much = bytes(range(256)) * 8192
    ended = debian("run", "-D", "sha256sum", stdin=much)
    assert ended.text.split()[0] == hashlib.sha256(much).hexdigest()


def test_a_run_ends_although_nobody_ends_its_input(debian):
    process = debian.start("run", "-D", "-s", "--", "echo here", stdin=subprocess.PIPE)
    with process.stdin:
        assert read_until(process.stdout, b"here") == b"here\n"
        assert process.wait(60) == 0
    process.stdout.close()
    process.stderr.close()


def test_a_conversation(debian):
    script = 'while read line; do echo "you said $line"; done; echo bye'
    process = debian.start("run", "-D", "-s", "--", script, stdin=subprocess.PIPE)
    for word in (b"one", b"two"):
        process.stdin.write(word + b"\n")
        process.stdin.flush()
        read_until(process.stdout, b"you said " + word)
    assert finished(process).stdout.endswith(b"bye\n")


def test_a_script_that_names_the_program_as_its_interpreter(debian, tmp_path):
    script = tmp_path / "script.sh"
    script.write_bytes(b"#!/usr/bin/env -S contree run -I\r\necho \"in $(uname)\"\r\nexit 5\r\n")
    script.chmod(0o755)
    assert debian("run", "-I", script, code=5).text == "in Linux\n"
    # Words behind the script come as `args` beside `shell`, where the contract says that they are
    # ignored: the script runs without them.
    assert debian("run", "-I", script, "word", code=5).text == "in Linux\n"


def test_ctrl_c_reaches_the_command_first(debian):
    script = "trap 'echo stopped; exit 7' INT; echo ready; while :; do sleep 0.1; done"
    process = debian.start("run", "-s", "--", script)
    read_until(process.stdout, b"ready")
    process.send_signal(signal.SIGINT)
    ended = finished(process, code=7)
    assert ended.stdout.endswith(b"stopped\n")
    assert debian.row("show", "HEAD")["status"] == "SUCCESS"


def test_ctrl_c_again_cancels(debian, api):
    script = "trap 'echo no' INT; echo ready; while :; do sleep 0.1; done"
    process = debian.start("-o", "default", "run", "-s", "--", script)
    read_until(process.stdout, b"ready")
    running = api.list_operations(status="EXECUTING")
    process.send_signal(signal.SIGINT)
    read_until(process.stdout, b"no")
    process.send_signal(signal.SIGINT)
    ended = finished(process, code=1)
    assert "Cancelled operation" in ended.told
    (operation,) = [op.uuid for op in running if op.uuid in ended.told]
    assert api.wait_operation(operation, timeout=60).status == "CANCELLED"


def test_a_closed_pipe_cancels(debian, api):
    process = debian.start("run", "-D", "-s", "--", "while echo y; do sleep 0.1; done")
    read_until(process.stdout, b"y\n")
    operation, *_ = api.list_operations(status="EXECUTING", limit=1)
    process.stdout.close()
    assert process.wait(60) == 141
    process.stderr.close()
    assert api.wait_operation(operation.uuid, timeout=60).status == "CANCELLED"
