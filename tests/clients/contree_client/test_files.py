"""Uploads: from every kind of source, and what is known of them afterwards."""

import hashlib
import io
import os
from datetime import UTC, datetime, timedelta

import pytest

from contree_client import FileSpec, NotFoundError
from runs import shell, stdout


def fresh(size: int = 64) -> bytes:
    """Bytes that no other test uploads."""
    return os.urandom(32) + b"\n" * (size - 32)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Pipe(io.RawIOBase):
    """A source that can be read once."""

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer) -> int:
        return self._rest.readinto(buffer)


def test_bytes_are_uploaded_and_found(client):
    content = fresh()
    assert client.check_file_exists(digest(content)) is False
    uploaded = client.upload_file(content)
    assert (uploaded.sha256, uploaded.size) == (digest(content), len(content))
    assert client.check_file_exists(uploaded.sha256) is True
    found = client.get_file(uploaded.sha256)
    assert (found.uuid, found.sha256, found.size) == (uploaded.uuid, uploaded.sha256, 64)
    for moment in (found.created_at, found.updated_at):
        moment = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
        assert abs(datetime.now(UTC) - moment) < timedelta(hours=1)


def test_the_same_content_is_the_same_file(client):
    content = fresh()
    assert client.upload_file(content).uuid == client.upload_file(io.BytesIO(content)).uuid


@pytest.mark.parametrize("size", [32, 65536, 3_000_000])
def test_streams_are_uploaded(client, size):
    content = fresh(size)
    assert client.upload_file(io.BytesIO(content)).sha256 == digest(content)
    content = fresh(size)
    assert client.upload_file(Pipe(content)).sha256 == digest(content)


def test_a_stream_is_sent_from_where_it_stands(client):
    content = fresh(200)
    source = io.BytesIO(content)
    source.seek(100)
    assert client.upload_file(source).sha256 == digest(content[100:])


def test_a_file_of_the_disk_is_uploaded(client, tmp_path):
    content = fresh(100_000)
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as source:
        assert client.upload_file(source).sha256 == digest(content)


def test_an_empty_file_is_a_file(client):
    uploaded = client.upload_file(b"")
    assert (uploaded.size, uploaded.sha256) == (0, digest(b""))
    assert client.get_file(uploaded.sha256).uuid == uploaded.uuid


def test_ensure_uploads_what_is_missing_only(client):
    content = fresh()
    first = client.ensure_file(content)
    assert client.ensure_file(io.BytesIO(content)).uuid == first.uuid
    assert client.ensure_file(Pipe(content)).uuid == first.uuid
    # With the digest given, the content is not even looked at.
    assert client.ensure_file(b"something else", sha256=digest(content)).uuid == first.uuid


def test_a_file_that_is_not_there(client):
    for absent in (digest(fresh()), "not-a-digest"):
        assert client.check_file_exists(absent) is False
        with pytest.raises(NotFoundError):
            client.get_file(absent)


def test_the_list_of_files_is_paged(client):
    uploads = [client.upload_file(fresh()).uuid for _ in range(3)]
    newest = client.list_files(limit=3).files
    assert {file.uuid for file in newest} == set(uploads)
    pages = client.iter_files(page_size=2, limit=3)
    assert [file.uuid for file in pages] == [file.uuid for file in newest]
    assert client.list_files(limit=1, offset=1).files == newest[1:2]
    assert newest[0] in client.list_files(since="1h").files
    assert newest[0] not in client.list_files(until="1h").files


def test_files_come_to_a_run(client, debian):
    text, program = client.upload_file(fresh()), client.upload_file(b"#!/bin/sh\necho ran $1\n")
    files = {
        "/opt/made/parents/data": FileSpec(uuid=text.uuid, uid=12, gid=34, mode="0640"),
        "/opt/program": FileSpec(uuid=program.uuid, uid=0, gid=0, mode=0o755),
        "relative/copy": FileSpec(uuid=text.uuid, uid=0, gid=0, mode="0o100600"),
        "/etc/hostname": FileSpec(uuid=program.uuid, uid=0, gid=0, mode="0644"),
    }
    script = """
        stat -c '%a %u %g %s %n' /opt/made/parents/data /relative/copy /etc/hostname
        sha256sum < /relative/copy
        /opt/program well
    """
    done = shell(client, script, debian, files=files)
    assert stdout(done).splitlines() == [
        "640 12 34 64 /opt/made/parents/data",
        "600 0 0 64 /relative/copy",
        "644 0 0 22 /etc/hostname",
        f"{text.sha256}  -",
        "ran well",
    ]
    assert done.metadata.files["/opt/made/parents/data"].uuid == text.uuid


def test_attached_files_stay_in_the_image(client, debian):
    content = fresh()
    file = client.ensure_file(content)
    files = {"/srv/kept": FileSpec(uuid=file.uuid, uid=0, gid=0, mode="0644")}
    done = shell(client, ":", debian, files=files, disposable=False)
    assert client.inspect_image_download(done.result.image, "/srv/kept") == content
