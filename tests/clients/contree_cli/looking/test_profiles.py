"""Logging in, several profiles, and commands that need no server."""

import stat
from pathlib import Path

import pytest
from person import TOKEN, URL, Person


@pytest.fixture
def newcomer(tmp_path):
    """A person who has not logged in yet."""
    return Person(tmp_path)


def test_a_token_is_saved_once_the_server_knows_it(newcomer):
    assert "contree auth" in newcomer("images", code=1).told

    wrong = newcomer("auth", "--type", "jwt", "--url", URL, "--token", "not-a-token", code=1)
    assert "401" in wrong.told
    saved = newcomer.home / "contree" / "auth.ini"
    assert not saved.exists()

    newcomer("auth", "--type", "jwt", "--url", URL + "/", "--token", TOKEN)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    # Asked before it is overwritten; nobody answers.
    assert "Aborted" in newcomer("auth", "--type", "jwt", "--url", URL, code=1).text
    # A wrong token is an answer, not a reason to try again.
    assert "401" in newcomer("--token", "not-a-token", "images", code=1).told


def test_profiles_stand_side_by_side(newcomer):
    newcomer("auth", "--type", "jwt", "--url", URL, "--token", TOKEN)
    # The hosted service wants a project with each request. A token of this server has its own,
    # and whatever the client sends is fine.
    newcomer(
        "auth",
        "-p",
        "work",
        CONTREE_TOKEN=TOKEN,
        CONTREE_URL=URL,
        CONTREE_PROJECT="NEBIUS_PROJECT_ID",
    )
    profiles = {row["name"]: row for row in newcomer.rows("auth", "list")}
    assert set(profiles) == {"default", "work"}
    assert {row["status"] for row in profiles.values()} == {"ok"}
    assert profiles["work"]["type"] == "iam" and not profiles["work"]["active"]

    newcomer("auth", "switch", "work")
    offline = {row["name"]: row for row in newcomer.rows("auth", "profiles", "--offline")}
    assert offline["work"]["active"] and not offline["default"]["active"]
    assert offline["work"]["status"] == "offline mode"

    # Each has sessions of its own.
    newcomer("-p", "work", "use", "tag:debian:bookworm")
    assert "No sessions" in newcomer("-p", "default", "session", "list").told
    newcomer("auth", "remove", "work", "-f")
    assert "does not exist" in newcomer("-p", "work", "images", code=1).told


def test_the_manual_needs_no_server(newcomer):
    assert newcomer("--version").text.startswith("contree-cli/0.9.4 ")
    assert "usage: contree" in newcomer().text
    newcomer("no-such-command", code=2)
    sections = {row["section"] for row in newcomer.rows("agent")}
    assert {"Core workflow", "Sessions"} <= sections
    assert newcomer.row("man", "sessions")["topic"] == "sessions"


def test_skills_are_installed_and_removed(newcomer):
    newcomer("skill", "install", "claude:.")
    folder = newcomer.home / ".claude" / "skills" / "contree"
    assert (folder / "SKILL.md").is_file()
    assert (folder / ".version").read_text() == "0.9.4"
    row = newcomer.row("skill", "list")
    assert row["kind"] == "claude" and row["exists"]
    assert Path(row["path"]).expanduser().name == "contree"
    newcomer("skill", "upgrade", "claude:.")
    newcomer("skill", "remove", "claude:.", "-f")
    assert not folder.exists()
    assert newcomer.rows("skill", "list") == []
