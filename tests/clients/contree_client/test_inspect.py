"""Looking into images without running anything."""

import gzip
import hashlib
import io
import stat
import tarfile

import pytest

from contree_client import BadRequestError, NotFoundError, UnprocessableEntityError


def test_a_listing_has_all_that_stat_knows(client, tree):
    listing = client.inspect_image_list(tree.image, tree.root)
    assert listing.path == tree.root
    entries = {entry.path: entry for entry in listing.files}
    assert set(entries) == {
        "blob", "broken", "deep", "empty", "fifo", "large", "link", "spaces & signs+%.txt",
        "words.txt",
    }  # fmt: skip
    words = entries["words.txt"]
    assert (words.size, words.uid, words.gid, words.nlink) == (26, 12, 34, 1)
    assert words.mode == stat.S_IFREG | 0o640
    assert words.mtime > 1_700_000_000
    assert (words.is_regular, words.is_dir, words.is_symlink) == (True, False, False)
    assert words.symlink_to == ""
    assert (str(entries["blob"].owner), str(entries["blob"].group)) == ("root", "root")
    assert entries["link"].is_symlink and entries["link"].symlink_to == "words.txt"
    assert entries["fifo"].is_fifo and not entries["fifo"].is_regular
    assert entries["deep"].is_dir and stat.S_ISDIR(entries["deep"].mode)
    assert client.inspect_image_list(tree.image, f"{tree.root}/empty").files == []


def test_what_cannot_be_listed(client, tree):
    with pytest.raises(UnprocessableEntityError):
        client.inspect_image_list(tree.image, f"{tree.root}/words.txt")
    with pytest.raises(NotFoundError):
        client.inspect_image_list(tree.image, "/no/such/folder")


def test_files_are_downloaded(client, tree):
    download = client.inspect_image_download
    words = b"first\nsecond needle\nthird\n"
    assert download(tree.image, f"{tree.root}/words.txt") == words
    assert download(tree.image, f"{tree.root}/link") == words
    assert download(tree.image, f"{tree.root}/blob") == b"\x00\x01\xffbinary"
    assert download(tree.image, f"{tree.root}/spaces & signs+%.txt") == b""


def test_a_large_file_is_streamed(client, tree):
    chunks = list(client.inspect_image_download_stream(tree.image, f"{tree.root}/large"))
    assert len(chunks) > 1
    assert hashlib.sha256(b"".join(chunks)).digest() == hashlib.sha256(b"x" * 3_000_000).digest()


def test_a_stream_may_be_left_early(client, tree):
    stream = client.inspect_image_download_stream(tree.image, f"{tree.root}/large")
    assert next(stream)[:1] == b"x"
    stream.close()
    assert client.check_image_file(tree.image, f"{tree.root}/large") is True


@pytest.mark.parametrize(
    ("path", "error"),
    [("deep", UnprocessableEntityError), ("broken", NotFoundError), ("absent", NotFoundError)],
)
def test_what_cannot_be_downloaded(client, tree, path, error):
    with pytest.raises(error) as raised:
        client.inspect_image_download(tree.image, f"{tree.root}/{path}")
    assert isinstance(raised.value.error, str) and raised.value.error
    with pytest.raises(error):
        list(client.inspect_image_download_stream(tree.image, f"{tree.root}/{path}"))


def test_files_and_folders_are_asked_for(client, tree):
    assert client.check_image_file(tree.image, f"{tree.root}/words.txt") is True
    assert client.check_image_file(tree.image, f"{tree.root}/absent") is False
    with pytest.raises(UnprocessableEntityError):
        client.check_image_file(tree.image, f"{tree.root}/deep")
    assert client.check_image_archive(tree.image, f"{tree.root}/deep") is True
    assert client.check_image_archive(tree.image, f"{tree.root}/absent") is False


def unpacked(chunks) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        return {member.name.rstrip("/"): member for member in archive.getmembers()}


def test_a_folder_is_archived(client, tree):
    chunks = list(client.inspect_image_archive(tree.image, tree.root))
    members = unpacked(chunks)
    assert {name.removeprefix("tree").lstrip("/") for name in members} >= {
        "words.txt", "link", "blob", "deep/more.conf", "empty", "large",
    }  # fmt: skip
    words = next(member for name, member in members.items() if name.endswith("words.txt"))
    assert (words.size, words.mode, words.uid, words.gid) == (26, 0o640, 12, 34)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        assert archive.extractfile(words.name).read() == b"first\nsecond needle\nthird\n"
        link = next(member for member in archive if member.issym() and "link" in member.name)
        assert link.linkname == "words.txt"


def test_a_file_is_archived_under_its_name(client, tree):
    members = unpacked(client.inspect_image_archive(tree.image, f"{tree.root}/words.txt"))
    assert list(members) == ["words.txt"]


def test_an_archive_comes_compressed(client, tree):
    packed = b"".join(client.inspect_image_archive(tree.image, tree.root, compressed=True))
    plain = b"".join(client.inspect_image_archive(tree.image, tree.root))
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain) / 20


def test_what_cannot_be_archived(client, tree):
    with pytest.raises(NotFoundError):
        list(client.inspect_image_archive(tree.image, f"{tree.root}/absent"))
    with pytest.raises(UnprocessableEntityError):
        list(client.inspect_image_archive(tree.image, f"{tree.root}/fifo"))


def found(result) -> list[tuple[str, int, str]]:
    return [(match.path, match.line_number, match.type) for match in result.matches]


def test_grep_finds_lines(client, tree):
    result = client.inspect_image_grep(tree.image, "needle", path=tree.root)
    assert (result.path, result.patterns, result.truncated) == (tree.root, ["needle"], False)
    assert found(result) == [
        (f"{tree.root}/deep/more.conf", 1, "match"),
        (f"{tree.root}/words.txt", 2, "match"),
    ]
    words = result.matches[1]
    assert (words.line_text, words.line_bytes, words.absolute_offset) == ("second needle\n", 14, 6)
    (submatch,) = words.submatches
    assert (submatch.text, submatch.start, submatch.end) == ("needle", 7, 13)


def test_grep_has_ripgreps_options(client, tree):
    grep = client.inspect_image_grep
    conf = f"{tree.root}/deep/more.conf"
    words = f"{tree.root}/words.txt"
    every_case = grep(tree.image, "needle", path=tree.root, case="insensitive")
    assert [match.line_number for match in every_case.matches if match.path == conf] == [1, 2]
    smart = grep(tree.image, "NEEDLE", path=tree.root, case="smart")
    assert found(smart) == [(conf, 2, "match")]
    globbed = grep(tree.image, "needle", path=tree.root, glob="*.txt")
    assert found(globbed) == [(words, 2, "match")]
    negated = grep(tree.image, "needle", path=tree.root, glob=["!*.txt"])
    assert found(negated) == [(conf, 1, "match")]
    several = grep(tree.image, ["^first", "^third"], path=words)
    assert found(several) == [(words, 1, "match"), (words, 3, "match")]
    around = grep(tree.image, "needle", path=words, before=1, after=1)
    assert found(around) == [(words, 1, "context"), (words, 2, "match"), (words, 3, "context")]
    assert around.matches[0].submatches == []


def test_grep_has_roots_and_limits(client, tree):
    grep = client.inspect_image_grep
    conf = f"{tree.root}/deep/more.conf"
    words = f"{tree.root}/words.txt"
    roots = grep(tree.image, "needle", path=[words, f"{tree.root}/deep"])
    assert found(roots) == [(words, 2, "match"), (conf, 1, "match")]
    limited = grep(tree.image, "e", path=tree.root, glob=["*.txt", "*.conf"], max_total=1)
    assert len(limited.matches) == 1 and limited.truncated
    per_file = grep(tree.image, "(?i)needle", path=tree.root, max_count=1)
    assert found(per_file) == [(conf, 1, "match"), (words, 2, "match")]


def test_what_cannot_be_searched(client, tree):
    with pytest.raises(BadRequestError):
        client.inspect_image_grep(tree.image, "(unclosed")
    with pytest.raises(BadRequestError):
        client.inspect_image_grep(tree.image, ["a"] * 17)
    with pytest.raises(NotFoundError):
        client.inspect_image_grep(tree.image, "a", path="/no/such/folder")


def test_paths_do_not_leave_the_image(any_client, tree):
    for path in ("/../../../../etc/hostname", "../etc/hostname"):
        inside = any_client.inspect_image_download(tree.image, path)
        assert inside == any_client.inspect_image_download(tree.image, "/etc/hostname")
    with pytest.raises((BadRequestError, UnprocessableEntityError)):
        any_client.inspect_image_download(tree.image, "")
