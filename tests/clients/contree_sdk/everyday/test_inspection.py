"""Looking into images."""

import stat

import pytest
from contree_sdk.sdk.exceptions import NotFoundError, UnprocessableEntityError

from conftest import DEBIAN


@pytest.fixture
def image(sdk, debian):
    """An image with a small tree in /srv."""
    script = """
        mkdir -p /srv/folder/deeper && chmod 750 /srv/folder
        printf 'text\\n' > /srv/file.txt && chown 12:34 /srv/file.txt
        printf '\\000\\377' > /srv/folder/deeper/binary
        ln -s file.txt /srv/link
    """
    return sdk.done(debian.run(shell=script, disposable=False))


def test_a_listing(sdk, image):
    entries = {entry.name: entry for entry in sdk.of(image.ls("/srv"))}
    assert set(entries) == {"file.txt", "folder", "link"}
    file, folder, link = entries["file.txt"], entries["folder"], entries["link"]
    assert (file.is_file, file.is_dir, file.is_regular) == (True, False, True)
    assert (file.size, file.uid, file.gid, file.nlink) == (5, 12, 34, 1)
    assert str(file.full_path) == "/srv/file.txt"
    assert file.mode == stat.S_IFREG | 0o644
    assert (folder.is_dir, folder.is_file, folder.mode) == (True, False, stat.S_IFDIR | 0o750)
    assert (folder.owner, folder.group) == ("root", "root")
    assert (link.is_symlink, link.symlink_to) == (True, "file.txt")


def test_entries_can_be_read_and_walked(sdk, image, tmp_path):
    entries = {entry.name: entry for entry in sdk.of(image.ls("/srv"))}
    assert sdk.of(entries["file.txt"].read()) == b"text\n"
    assert sdk.of(entries["link"].read()) == b"text\n"
    (deeper,) = sdk.of(entries["folder"].ls())
    assert deeper.is_dir and str(deeper.full_path) == "/srv/folder/deeper"
    (binary,) = sdk.of(deeper.ls())
    assert [entry.name for entry in sdk.of(entries["folder"].ls("deeper"))] == ["binary"]
    target = sdk.of(binary.download(tmp_path / "here"))
    assert target.read_bytes() == b"\x00\xff"


def test_the_root(sdk):
    image = sdk.of(sdk.client.images.use(DEBIAN))
    names = {entry.name for entry in sdk.of(image.ls())}
    assert {"bin", "etc", "usr", "var"} <= names


def test_reading_and_downloading(sdk, image, tmp_path, monkeypatch):
    assert sdk.of(image.read("/srv/file.txt")) == b"text\n"
    assert sdk.of(image.download("/srv/file.txt", tmp_path / "copy")).read_text() == "text\n"
    monkeypatch.chdir(tmp_path)
    assert sdk.of(image.download("/srv/file.txt")).name == "file.txt"
    assert (tmp_path / "file.txt").read_text() == "text\n"


def test_an_image_known_by_its_tag_alone(sdk):
    image = sdk.of(sdk.client.images.use(DEBIAN))
    assert b"root:" in sdk.of(image.read("/etc/passwd"))
    assert "passwd" in {entry.name for entry in sdk.of(image.ls("/etc"))}


def test_what_cannot_be_read(sdk, image):
    with pytest.raises(NotFoundError):
        sdk.of(image.read("/no/such/file"))
    with pytest.raises(UnprocessableEntityError):
        sdk.of(image.read("/srv/folder"))
    with pytest.raises(NotFoundError):
        sdk.of(image.ls("/no/such/folder"))
    with pytest.raises(UnprocessableEntityError):
        sdk.of(image.ls("/srv/file.txt"))
    absent = sdk.of(sdk.client.images.use("never:heard-of"))
    with pytest.raises(NotFoundError):
        sdk.of(absent.ls())
