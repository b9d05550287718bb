"""Local files in sandboxes: attached to a run, or staged in the session for the next one."""

import json
import os
from pathlib import Path

import pytest


@pytest.fixture
def project(tmp_path):
    """A folder such as one works in."""
    folder = tmp_path / "project"
    for name, text in {
        "main.py": "print('hello')\n",
        "src/deep/module.py": "x = 1\n",
        "src/notes.log": "not wanted\n",
        ".git/HEAD": "left out\n",
        "node_modules/left/out.js": "left out\n",
        "src/__pycache__/module.pyc": "left out\n",
        "run.sh": "#!/bin/sh\necho ran as $(id -u)\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "run.sh").chmod(0o755)
    os.symlink("main.py", folder / "link.py")
    return folder


def test_a_file_is_attached_as_it_is_or_as_told(debian, project):
    script, main = project / "run.sh", project / "main.py"
    line = "stat -c '%a %u %g %n' /opt/run.sh /opt/plain.py && /opt/run.sh"
    ended = debian(
        "run", "-F", f"{script}:/opt/run.sh:u0:g0",
        "-F", f"{main}:/opt/plain.py:m4751:u12:g34", "-s", "--", line,
    )  # fmt: skip
    assert ended.text == "755 0 0 /opt/run.sh\n4751 12 34 /opt/plain.py\nran as 0\n"
    # Without a place of its own it has the one that it had.
    assert debian("run", "-D", "-F", main, "cat", main).text == "print('hello')\n"


def test_a_folder_is_attached_without_what_nobody_wants(debian, project):
    ended = debian(
        "run", "-F", f"{project}:/app", "--file-excludes", "*.log", "--",
        "find", "/app", "-type", "f", "-printf", "%P\n",
    )  # fmt: skip
    assert sorted(ended.text.split()) == ["link.py", "main.py", "run.sh", "src/deep/module.py"]
    # Again: nothing is uploaded, for the program remembers what it did.
    ended = debian(
        "-L", "debug", "run", "-D", "-F", f"{project}:/app", "cat", "/app/src/deep/module.py"
    )
    assert ended.text == "x = 1\n" and "reused from local cache" in ended.told
    assert "/no/such" in debian("run", "-F", "/no/such", "true", code=1).told


def test_the_same_content_is_one_upload(debian, project):
    first, second = project / "a", project / "b"
    first.write_text("twice the same")
    second.write_text("twice the same")
    debian("run", "-F", f"{first}:/a", "-D", "true")
    # Another file with the same bytes: asked for by its digest, and not sent.
    assert "File reused" in debian("run", "-F", f"{second}:/b", "-D", "true").told
    uploads = debian.rows("file", "ls", "--since", "1h")
    same = [row for row in uploads if row["source"] in (str(first), str(second))]
    assert len(same) == 1 and same[0]["size"] == 14
    assert set(debian.row("file", "ls", "-q", "--limit", "1")) == {"uuid", "sha256", "source"}


def test_staged_files_come_with_the_next_run(debian, project):
    config = project / "config"
    config.write_text("staged\n")
    debian("file", "cp", config, "/etc/app/config")
    # Not there before a run; there in one that is thrown away; still to come after it.
    assert "404" in debian("cat", "/etc/app/config", code=1).told
    assert debian("run", "-D", "cat", "/etc/app/config").text == "staged\n"
    assert debian("run", "stat", "-c", "%a %u", "/etc/app/config").text == "644 0\n"
    assert debian("cat", "/etc/app/config").text == "staged\n"
    # What a run brings itself goes first.
    config.write_text("second\n")
    debian("file", "cp", config, "/etc/app/config")
    attached = f"{project / 'main.py'}:/etc/app/config"
    assert debian("run", "-D", "-F", attached, "cat", "/etc/app/config").text == "print('hello')\n"
    # Going back in the session takes the staged file along.
    debian("session", "rollback")
    assert debian("run", "-D", "cat", "/etc/app/config").text == "staged\n"


def test_editing_a_file_of_the_image(debian, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho edited >> \"$1\"\n")
    editor.chmod(0o755)
    debian("file", "edit", "/etc/debian_version", EDITOR=str(editor))
    # A file that is not there starts empty; one that stays as it is is not staged.
    debian("file", "edit", "-E", editor, "/etc/new")
    assert "No changes" in debian("file", "edit", "-E", "true", "/etc/passwd").told
    version, new = debian("run", "tail", "-n", "+1", "/etc/debian_version", "/etc/new").text.split("\n\n")
    assert version.endswith("\nedited") and new.endswith("\nedited\n")
    assert [row["kind"] for row in debian.rows("session", "show")] == ["use", "file", "file", "run"]
    debian("file", "edit", "-E", "false", "/etc/new", code=1)


def test_names_of_every_kind(debian, tmp_path):
    odd = tmp_path / "mit Leerzeichen & ümläut.txt"
    odd.write_text("odd\n")
    where = "/data/mit Leerzeichen & ümläut.txt"
    debian("run", "-F", f"{odd}:{where}", "true")
    names = [row["path"] for row in debian.rows("ls", "/data")]
    assert [Path(name).name for name in names] == [odd.name]
    rows = json.loads(debian("-o", "json-pretty", "grep", "odd", "/data").text)
    assert rows[0]["path"].endswith(odd.name)
