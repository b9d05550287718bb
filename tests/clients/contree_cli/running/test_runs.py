"""Running commands: how they are given, what they are told, and what comes back."""

import json
import re


def test_words_are_a_command_or_a_shell_line(debian):
    assert debian("run", "--", "printf", "%s|", "a b", "c").text == "a b|c|"
    assert debian("r", "-s", "--", "echo $((6*7)) | cat && echo done").text == "42\ndone\n"
    # Several words of a shell line are words, not lines.
    assert debian("run", "-s", "--", "echo", "a;b").text == "a;b\n"


def test_output_arrives_as_the_bytes_that_were_written(debian):
    ended = debian("run", "-s", "--", r"printf '\377\000\r\n'; printf 'm\303\244h' >&2")
    assert ended.stdout == b"\xff\x00\r\n"
    assert "mäh" in ended.told


def test_the_exit_code_is_the_command_s(debian):
    debian("run", "--", "sh", "-c", "exit 42", code=42)
    # The state that a failed command leaves is kept.
    debian("run", "-s", "--", "echo half > /root/work; exit 1", code=1)
    assert debian("run", "cat", "/root/work").text == "half\n"


def test_what_cannot_be_started_fails(debian):
    ended = debian("run", "no-such-program", code=1)
    assert "FAILED" in ended.told and "no-such-program" in ended.told
    assert debian.row("use")["last_kind"] == "use"


def test_a_command_that_takes_too_long_is_ended(debian):
    ended = debian("run", "-t", "3", "-s", "--", "echo so far > /root/far; sleep 60", code=255)
    assert "timed out after 3s" in ended.told
    assert debian("run", "cat", "/root/far").text == "so far\n"


def test_variables_of_a_run_of_a_session_and_of_an_image(debian):
    run = ("run", "-D", "--", "printenv")
    assert debian("run", "-e", "A=1", "-e", "B=x=y", "--", "printenv", "A", "B").text == "1\nx=y\n"
    debian("env", "A=session", "C=c")
    assert {row["key"]: row["value"] for row in debian.rows("env")} == {"A": "session", "C": "c"}
    assert debian(*run, "A", "C").text == "session\nc\n"
    # A run's own goes first, and with it the session's is written into the image.
    debian("run", "--preserve-env", "-e", "A=run", "true")
    debian("env", "-U", "A", "C")
    assert debian(*run, "A", "C").text == "run\nc\n"
    assert debian("-S", "other", "run", "--use", debian.image(), *run[1:], "A").text == "run\n"


def test_the_folder_and_the_name_of_the_machine(debian):
    assert debian("run", "-C", "/made/here", "-H", "box", "-s", "--", "pwd; hostname").text == (
        "/made/here\nbox\n"
    )
    debian("cd", "/made")
    assert debian("run", "-s", "--", "pwd; hostname").text == "/made\nlinuxkit\n"


def test_output_is_cut_where_asked(debian):
    row = debian.row("run", "-T", "100", "-D", "--", "seq", "1000")
    assert row["stdout"] == "".join(f"{n}\n" for n in range(1, 1001))[:100]
    debian("op", "wait", operation := debian.detached("-T", "100", "-D", "--", "seq", "1000"))
    raw = json.loads(debian("op", "show", "--raw", operation).text)
    stdout = raw["metadata"]["result"]["stdout"]
    assert stdout["truncated"] is True and len(stdout["value"]) == 100


def test_a_disposable_run_leaves_nothing(debian):
    before = debian.image()
    row = debian.row("run", "-D", "-s", "--", "echo gone > /root/gone")
    assert row["status"] == "SUCCESS" and row["result_image_uuid"] is None
    # A run that changes nothing leaves the image that it started from.
    assert debian.row("run", "true")["image"] == before
    assert debian.row("run", "touch", "/root/new")["image"] not in ("", None, before)


def test_each_format_tells_the_result(debian):
    command = ("run", "-s", "--", "echo out; echo err >&2; exit 3")
    row = debian.row(*command, code=3)
    assert row["status"] == "SUCCESS" and row["exit_code"] == 3
    assert row["stdout"] == "out\n" and row["stderr"] == "err\n"
    assert isinstance(row["duration"], float)
    assert json.loads(debian("-o", "json-pretty", *command, code=3).stdout)[0]["exit_code"] == 3
    assert re.search(r"^exit_code: +3$", debian("-o", "plain", *command, code=3).text, re.M)
    assert "exit_code = 3" in debian("-o", "toml", *command, code=3).text
    # With csv, tsv and table contree-cli 0.9.4 runs the command and then fails to print it:
    # its own fault, for which there is nothing to hold it to.


def test_an_image_may_be_named_with_the_run(contree):
    assert contree("run", "--use", "tag:debian:bookworm", "uname").text == "Linux\n"
    assert "404" in contree("run", "--use", "tag:no-such-image", "uname", code=1).told
    assert [row["kind"] for row in contree.rows("session", "show")] == ["use", "run"]
