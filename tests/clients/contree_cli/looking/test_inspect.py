"""Looking into images without running anything."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest
from person import finished

SETUP = r"""
mkdir -p /srv/app/sub && cd /srv/app
printf 'alpha\nBeta\ngamma\nTODO one\ndelta\nTODO two\n' > notes.txt
printf 'todo three\n' > sub/code.py
printf 'x TODO \303\266\n' > sub/uml.md
head -c 300000 /dev/urandom > blob
ln -s notes.txt link && ln -s /etc/debian_version version && ln -s nowhere broken
chmod 750 sub && chown 7:8 blob && chmod 4711 blob
"""


@pytest.fixture(scope="module")
def prepared(on_debian, tmp_path_factory):
    """A session on an image with a small project."""
    person = on_debian.copied(tmp_path_factory.mktemp("inspect"))
    person("run", "-s", "--", SETUP)
    return person


@pytest.fixture
def looking(prepared, tmp_path_factory):
    return prepared.copied(tmp_path_factory.mktemp("session"))


def test_folders_are_listed(looking):
    entries = {row["path"].rsplit("/")[-1]: row for row in looking.rows("ls", "/srv/app")}
    assert set(entries) == {"notes.txt", "sub", "blob", "link", "version", "broken"}
    assert {name: entries[name]["type"] for name in ("sub", "link", "blob")} == {
        "sub": "d",
        "link": "l",
        "blob": "-",
    }
    blob = entries["blob"]
    assert (blob["size"], blob["uid"], blob["gid"], blob["mode"]) == (300000, 7, 8, "104711")
    assert entries["link"]["symlink_to"] == "notes.txt"
    text = looking("ls", "/srv/app").text
    assert "notes.txt" in text and "drwxr-x---" in text and "-> notes.txt" in text
    assert "404" in looking("ls", "/srv/absent", code=1).told
    assert "422" in looking("ls", "/srv/app/blob", code=1).told


def test_the_session_has_a_folder(looking):
    looking("cd", "srv/app/sub/..")
    assert looking("cd").text == "/srv/app\n"
    assert {row["path"].rsplit("/")[-1] for row in looking.rows("ls", "sub")} == {"code.py", "uml.md"}
    assert "no such directory" in looking("cd", "/srv/absent", code=1).told
    assert looking("cd").text == "/srv/app\n"


def test_files_are_read_and_copied(looking, tmp_path):
    blob = looking("cat", "/srv/app/blob").stdout
    assert len(blob) == 300000
    looking("cp", "/srv/app/blob", tmp_path / "copy")
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).digest() == hashlib.sha256(blob).digest()
    looking("cp", "/srv/app/link", tmp_path)
    assert (tmp_path / "link").read_text().startswith("alpha\n")
    # Links lead on inside the image.
    assert looking("cat", "/srv/app/version").text == looking("cat", "/etc/debian_version").text
    assert "404" in looking("cat", "/srv/app/broken", code=1).told
    assert "422" in looking("cat", "/srv/app", code=1).told
    assert "404" in looking("cp", "/absent", tmp_path / "absent", code=1).told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "link"]


def test_folders_are_exported(looking, tmp_path):
    looking("export", "/srv/app", "-F", tmp_path / "app.tar.gz")
    packed = (tmp_path / "app.tar.gz").read_bytes()
    assert packed[:2] == b"\x1f\x8b"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        members = {member.name: member for member in tar}
        text = tar.extractfile("app/notes.txt").read()
    assert {"app", "app/sub/code.py", "app/link", "app/broken"} <= set(members)
    assert text.startswith(b"alpha\n") and members["app/link"].linkname == "notes.txt"
    blob = members["app/blob"]
    assert (blob.uid, blob.gid, blob.mode, blob.size) == (7, 8, 0o4711, 300000)

    looking("export", "/srv/app/notes.txt", "-F", tmp_path / "one.tar")
    with tarfile.open(tmp_path / "one.tar", "r:") as tar:
        assert tar.getnames() == ["notes.txt"]
    plain = looking("export", "/etc", "--decompress").stdout
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as tar:
        assert "etc/debian_version" in tar.getnames()
    assert "not found in image" in looking("export", "/absent", code=1).told


def test_the_whole_image_is_exported(looking):
    process = looking.start("export")
    with tarfile.open(fileobj=process.stdout, mode="r|gz") as tar:
        names = [member.name for member in tar]
    finished(process)
    assert "etc/debian_version" in names and "srv/app/sub/code.py" in names
    assert not any(name.startswith(("/", "./")) for name in names)


def test_contents_are_searched(looking):
    assert looking("grep", "TODO", "/srv/app").text.splitlines() == [
        "/srv/app/notes.txt:4:TODO one",
        "/srv/app/notes.txt:6:TODO two",
        "/srv/app/sub/uml.md:1:x TODO ö",
    ]
    looking("cd", "/srv/app")
    rows = looking.rows("grep", "todo", "--case", "insensitive", "--glob", "*.py")
    assert [(row["line_number"], row["line_text"]) for row in rows] == [(1, "todo three")]
    assert len(looking.rows("grep", "TODO", "--max-count", "1")) == 2
    both = looking.rows("grep", "O (one|ö)$|three", "notes.txt", "sub")
    assert [row["path"].rsplit("/")[-1] for row in both] == ["notes.txt", "code.py", "uml.md"]
    assert looking("grep", "-C", "1", "delta", "notes.txt").text.splitlines() == [
        "/srv/app/notes.txt-4-TODO one",
        "/srv/app/notes.txt:5:delta",
        "/srv/app/notes.txt-6-TODO two",
    ]
    assert "\n--\n" in looking("grep", "-A", "1", "alpha|delta", "notes.txt").text


def test_a_search_tells_whether_it_found_anything(looking):
    assert looking("grep", "not in there", "/srv", code=1).text == ""
    cut = looking("grep", "TODO", "/srv", "--max-total", "1")
    assert len(cut.text.splitlines()) == 1 and "truncated" in cut.told
    raw = json.loads(looking("grep", "--raw", "T(OD)O", "/srv/app/notes.txt").text)
    assert raw["patterns"] == ["T(OD)O"] and raw["truncated"] is False
    (found,) = raw["matches"][0]["submatches"]
    assert (found["start"], found["end"]) == (0, 4)
    assert "400" in looking("grep", "(", "/srv", code=1).told
    assert "404" in looking("grep", "x", "/absent", code=1).told
