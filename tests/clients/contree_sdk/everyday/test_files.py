"""Files that come along with a run."""

import hashlib
import os
from pathlib import PurePosixPath

import pytest
from contree_sdk.utils.models.file import UploadFileSpec


@pytest.fixture
def local(tmp_path):
    """A local file with content of its own."""
    path = tmp_path / "local.txt"
    path.write_text(f"content of {tmp_path}\n")
    return path


def test_a_list_lands_in_the_root(sdk, debian, local, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"\x00\x01")
    done = sdk.done(
        debian.run(shell="cat /local.txt; od -An -tx1 /other", files=[local, str(other)])
    )
    assert done.stdout == f"{local.read_text()} 00 01\n"


def test_a_dict_names_the_destinations(sdk, debian, local):
    files = {
        "/made/parents/file": local,
        "/by/string": str(local),
        "/bytes": b"just bytes",
        "bin/app": UploadFileSpec(source=b"#!/bin/sh\necho ran\n", mode=0o755),
    }
    done = sdk.done(
        debian.run(shell="cat /made/parents/file /by/string /bytes; /bin/app", files=files)
    )
    assert done.stdout == local.read_text() * 2 + "just bytesran\n"


def test_owner_and_mode(sdk, debian, local):
    specs = [
        UploadFileSpec(source=local, path="/etc/secret", uid=12, gid=34, mode=0o4640),
        UploadFileSpec(source=local, mode=0o100600),
        UploadFileSpec(source=b"", path=PurePosixPath("/srv/empty")),
    ]
    script = "stat -c '%a %u %g %s' /etc/secret /local.txt /srv/empty"
    size = local.stat().st_size
    assert sdk.done(debian.run(shell=script, files=specs)).stdout.splitlines() == [
        f"4640 12 34 {size}", f"600 0 0 {size}", "644 0 0 0",
    ]  # fmt: skip


def test_files_are_uploaded_once(sdk, debian, local):
    first = sdk.of(sdk.client.files.upload(local))
    second = sdk.of(sdk.client.files.upload(str(local)))
    assert (first.uuid, first.sha256) == (second.uuid, second.sha256)
    spec = UploadFileSpec(source=first, path="/uploaded")
    assert sdk.done(debian.run("cat", args=["/uploaded"], files=[spec])).stdout == local.read_text()


def test_a_large_file_is_uploaded(sdk, debian, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(os.urandom(1024) * 4096)
    done = sdk.done(debian.run("sha256sum", args=["/large"], files=[large]))
    assert done.stdout.split()[0] == hashlib.sha256(large.read_bytes()).hexdigest()


def test_files_may_be_put_into_an_image_alone(sdk, debian, local):
    image = sdk.of(
        debian.apply_files({"/one": local, "/two": b"second"}, files={"/three": b"third"})
    )
    assert image.uuid != debian.uuid
    listed = sdk.done(image.run(shell="cat /two /three; wc -c < /one")).stdout
    assert listed == f"secondthird{local.stat().st_size}\n"


def test_files_that_make_no_sense(sdk, debian, local, tmp_path):
    with pytest.raises(ValueError, match="Duplicate"):
        debian.run("true", files=[local, UploadFileSpec(source=b"", path="/local.txt")])
    with pytest.raises(ValueError, match="path"):
        debian.run("true", files=[b"bytes without a name"])
    with pytest.raises(FileNotFoundError):
        sdk.done(debian.run("true", files=[tmp_path / "absent"]))
