"""Runs in the background, and what is told of operations."""

import json

import pytest

ABSENT = "01890000-0000-7000-8000-000000000000"
WAITING = ("-s", "--", "echo started; sleep 600")


@pytest.fixture
def waiting(debian, said):
    """Starts a run that would take long, and waits until it runs."""

    def start(*options):
        operation = debian.detached(*options, *WAITING)
        said(operation, b"started")
        return operation

    return start


def test_a_run_in_the_background_is_joined(debian):
    first = debian.detached("-s", "--", "echo first > /root/one; echo out")
    second = debian.detached("-D", "-s", "--", "echo second")
    branches = {row["branch"] for row in debian.rows("session", "branch")}
    assert branches == {"main", f"detached-{first}", f"disposable-{second}"}

    rows = {row["uuid"]: row for row in debian.rows("session", "wait")}
    assert set(rows) == {first, second}
    assert {row["status"] for row in rows.values()} == {"SUCCESS"}
    # The session stands on what came out of it.
    assert debian("cat", "/root/one").text == "first\n"
    assert debian.row("show", "HEAD")["uuid"] == first
    # Nothing is left to wait for: asked of the server, which knows of no sessions.
    assert "No active operations" in debian("session", "wait").told
    assert "Pruned" in debian("session", "branch", "--prune").text


def test_waiting_tells_how_each_ended(debian):
    good = debian.detached("true")
    bad = debian.detached("-s", "--", "exit 9")
    never = debian.detached("no-such-program")
    ended = debian("-o", "json", "op", "wait", f"{good} {bad}", never, code=9)
    rows = {row["uuid"]: row for row in ended.rows}
    assert [rows[op]["status"] for op in (good, bad, never)] == ["SUCCESS", "SUCCESS", "FAILED"]
    assert [rows[op]["exit_code"] for op in (good, bad)] == [0, 9]
    assert "no-such-program" in rows[never]["error"]
    debian("session", "wait", good, bad, code=9)


def test_a_running_operation_is_listed_shown_and_cancelled(debian, waiting):
    operation = waiting()
    row = next(row for row in debian.rows("op", "ls", "-k", "instance") if row["uuid"] == operation)
    assert row["status"] == "EXECUTING" and row["result_image_uuid"] is None
    late = debian.row("op", "wait", "-t", "1", operation, code=1)
    assert late["timed_out"] is True and late["status"] == "EXECUTING"

    assert operation in debian("kill", operation).told
    assert debian.row("op", "wait", operation, code=1)["status"] == "CANCELLED"
    assert operation not in debian("ps", "-q").text.split()
    assert operation in debian("ps", "-q", "--status", "C").text.split()
    # It has ended; and one that never was cannot be cancelled either.
    told = debian("op", "cancel", operation, ABSENT, code=1).told
    assert f"Failed to cancel {operation}" in told and f"Failed to cancel {ABSENT}" in told


def test_all_that_runs_is_cancelled_at_once(debian, waiting):
    operations = {waiting("-D"), waiting("-D")}
    told = debian("kill", "--all").told
    assert all(operation in told for operation in operations)
    rows = debian.rows("op", "wait", *operations, code=1)
    assert {row["uuid"]: row["status"] for row in rows} == dict.fromkeys(operations, "CANCELLED")


def test_input_is_sent_before_a_background_run_is_left(debian):
    text = b"line\n" * 100_000
    (row,) = debian("-o", "json", "run", "-d", "-D", "wc", "-l", stdin=text).rows
    debian("op", "wait", row["uuid"])
    assert debian.row("show", row["uuid"])["result"]["stdout"] == "100000\n"


def test_operations_are_found_by_kind_state_and_time(debian):
    debian("run", "-D", "no-such-program", code=1)
    failed = debian.rows("ps", "--status", "FAILED", "--since", "1h", "-k", "instance")
    assert failed and all("spawn failed" in row["error"] for row in failed)
    ended = debian("-o", "json", "ps", "-a", "-k", "image_import", "-M", "1")
    assert ended.rows[0]["image_uuid"] is None
    assert debian.rows("ps", "-a", "--until", "2020-01-01") == []
    ended = debian("-o", "json", "ps", "-a", "-M", "2")
    first, second = (row["created_at"] for row in ended.rows)
    assert first >= second and "--show-max=2" in ended.told


def test_what_is_told_of_an_operation(debian):
    debian("run", "-s", "--", "echo out; echo err >&2; exit 4", code=4)
    ended = debian("show", "HEAD")
    assert ended.text.endswith("out\n") and ended.told == "err\n"
    assert "404" in debian("show", ABSENT, code=1).told

    events = debian.rows("op", "events", "HEAD")
    assert [event["id"] for event in events] == sorted({event["id"] for event in events})
    types = [event["type"] for event in events]
    assert types[0] == "init" and types[-1] == "completion"
    assert {"spawn", "stdout", "stderr", "exit", "shutdown"} <= set(types)
    exit = next(event for event in events if event["type"] == "exit")
    assert exit["spid"] == 1 and exit["data"]["code"] == 4
    assert events[-1]["data"]["status"] == "SUCCESS"

    # A result that the program did not see itself, as the server has it.
    debian("op", "wait", operation := debian.detached("sh", "-c", "exit 4"), code=4)
    raw = json.loads(debian("op", "show", "--raw", operation).text)
    assert raw["metadata"]["command"] == "sh" and raw["metadata"]["args"] == ["-c", "exit 4"]
    assert raw["metadata"]["result"]["resources"]["max_rss"] > 0
