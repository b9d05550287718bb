"""Sessions, branches and history: kept by the program, pointing at images of the server."""

import json
import re


def test_a_session_is_told_and_exported(debian):
    row = debian.row("use")
    assert row["active_branch"] == "main" and row["last_kind"] == "use"
    assert debian("use", row["current_image"], SHELL="/usr/bin/fish").text == (
        "set -gx CONTREE_SESSION work\n"
    )
    new = debian("use", "-N", "debian:bookworm").text
    assert re.fullmatch(r"export CONTREE_SESSION=[0-9a-f-]{36}\n", new)
    # An image that is not there leaves the session as it was.
    assert "404" in debian("use", "-N", "no-such", code=1).told
    assert debian.row("session")["current_image"] == row["current_image"]


def test_without_a_session_there_is_no_image(contree):
    assert "No active session" in contree("use", code=1).told
    assert "--new requires" in contree("use", "-N", code=1).told


def test_going_back_and_forth(steps):
    contree, (base, one, two) = steps
    history = contree.rows("session", "show")
    assert [row["kind"] for row in history] == ["use", "run", "run"]
    first, second = history[0]["id"], history[1]["id"]

    assert contree.row("session", "rollback")["image"] == one
    assert contree("run", "-D", "cat", "/root/step").text == "one\n"
    assert contree.row("session", "rollback", "+1")["image"] == two
    assert contree.row("session", "rollback", "--", "-2")["image"] == base
    assert contree.row("session", "rb", second)["image"] == one
    # From here on another line of states.
    other = contree.row("run", "-s", "--", "cat /root/step; echo three > /root/step")
    assert other["stdout"] == "one\n" and other["image"] not in (one, two)
    parents = {row["image"]: row["parent_id"] for row in contree.rows("session", "show", "-a")}
    assert parents[other["image"]] == parents[two] == second
    assert parents[one] == first
    assert "Cannot go back" in contree("session", "rollback", "--", "-9", code=1).told


def test_branches(steps):
    contree, (_, _, two) = steps
    contree("session", "branch", "risky")
    assert contree.row("session", "checkout", "risky") == {"branch": "risky", "image": two}
    risky = contree.row("run", "rm", "/root/step")["image"]
    assert contree.row("session", "co", "main")["image"] == two
    assert contree("cat", "/root/step").text == "two\n"
    contree("session", "branch", "again", "--from", "risky")
    assert contree.row("session", "checkout", "again")["image"] == risky
    branches = {row["branch"]: row["active"] for row in contree.rows("session", "branch")}
    assert branches == {"main": False, "risky": False, "again": True}
    contree("session", "branch", "-U", "risky")
    contree("session", "checkout", "risky", code=1)


def test_looking_through_the_history(steps):
    contree, images = steps
    contree("cd", "/root")
    kinds = [row["kind"] for row in contree.rows("session", "show", "-k", "run", "--since", "1h")]
    assert kinds == ["run", "run"]
    last = contree.row("session", "show", "-l", "1")
    assert last["kind"] == "cd"
    # Operations of the session by their place in it.
    told = contree.rows("op", "show", "HEAD~", "@-2", str(last["id"] - 1))
    assert [row["result_image_uuid"] for row in told] == [images[2], images[1], images[2]]
    refused = contree("show", "@99999", "nonsense", code=1).told
    assert "@99999" in refused and "nonsense" in refused


def test_several_sessions(steps):
    contree, (base, _, two) = steps
    contree("-S", "second", "use", base)
    assert contree.row("-S", "second", "session", "use", "work") == {
        "image": two,
        "from_session": "work",
    }
    assert contree("-S", "second", "run", "-D", "cat", "/root/step").text == "two\n"
    listed = {row["session_key"]: row["active"] for row in contree.rows("session", "ls")}
    assert listed == {"work": True, "second": False}
    contree("session", "delete", "second", "-f")
    assert contree.row("session", "list", "--filter", "wor")["current_image"] == two


def test_each_format_tells_the_same(steps):
    contree, images = steps
    command = ("session", "show")
    rows = json.loads(contree("-o", "json-pretty", *command).text)
    assert [row["image"] for row in rows] == images
    head, *lines = contree("-o", "csv", *command).text.splitlines()
    assert head.split(",")[:2] == ["id", "image"]
    assert [line.split(",")[1] for line in lines] == images
    for format in ("toml", "table"):
        told = contree("-o", format, *command).text
        assert all(image in told for image in images)
