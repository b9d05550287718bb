"""What needs no server: references, pipes, files, text, errors, states."""

import asyncio
import copy
import pickle
import stat
import threading
from inspect import iscoroutinefunction
from io import BytesIO, StringIO, UnsupportedOperation
from pathlib import Path, PurePosixPath
from subprocess import PIPE
from typing import get_type_hints
from uuid import uuid4

import pytest

from contree_sdk import Contree, ContreeSync, _blocking
from contree_sdk._offload import Turn
from contree_sdk.sdk.exceptions import (
    ApiStatusCodeError,
    ContreeError,
    ContreeImageStateError,
    ContreeTransportError,
    FailedOperationError,
    ForbiddenError,
    NotFoundError,
)
from contree_sdk.sdk.exceptions.api import RequestInfo, ResponseInfo
from contree_sdk.sdk.managers.images._base import ImagesBase
from contree_sdk.sdk.objects.image import ContreeImage, ContreeImageSync
from contree_sdk.sdk.objects.image_fs import (
    ImageDirectory,
    ImageDirectorySync,
    ImageFile,
    ImageFileSync,
)
from contree_sdk.sdk.objects.image_like.result import ContreeResult
from contree_sdk.sdk.objects.image_like.state import ImageState
from contree_sdk.sdk.objects.session import ContreeSession, ContreeSessionSync
from contree_sdk.utils.codecs import TextDecoder, io_decode, io_encode, text_of
from contree_sdk.utils.io_wrap import IOMode, PipeIO, get_io_by_obj
from contree_sdk.utils.models.file import UploadedFile, UploadFileSpec
from contree_sdk.utils.models.stream import StreamDescription
from contree_sdk.utils.oci import OCIReference


@pytest.mark.parametrize(
    ("reference", "url", "tag"),
    [
        ("busybox", "docker://docker.io/library/busybox", "busybox"),
        ("docker://docker.io/busybox:1", "docker://docker.io/library/busybox:1", "busybox:1"),
        ("library/debian", "docker://docker.io/library/debian", "debian"),
        ("someone/thing:1", "docker://docker.io/someone/thing:1", "someone/thing:1"),
        ("ghcr.io/owner/name:1", "docker://ghcr.io/owner/name:1", "ghcr.io/owner/name:1"),
        ("127.0.0.1:5000/a/b:1", "docker://127.0.0.1:5000/a/b:1", "127.0.0.1:5000/a/b:1"),
        # Without a dot it is no host.
        ("localhost:5000/a", "docker://docker.io/localhost:5000/a", "localhost:5000/a"),
        ("my.image:1", "docker://docker.io/library/my.image:1", "my.image:1"),
        ("docker:///busybox", "docker://docker.io/library/busybox", "busybox"),
    ],
)
def test_references(reference, url, tag):
    assert OCIReference.from_oci(reference) == OCIReference(url, tag)


@pytest.mark.parametrize("reference", ["", ":x", "https://ghcr.io/a"])
def test_what_is_no_reference(reference):
    with pytest.raises(ValueError, match=r"not a valid OCI reference|Invalid scheme"):
        OCIReference.from_oci(reference)


def test_a_pipe_holds_what_nobody_has_read():
    pipe = PipeIO()
    assert pipe.write(b"x" * 1_000_000) == 1_000_000
    assert pipe.read(3) == b"xxx"
    pipe.write(b"\none\ntwo")
    pipe.close()
    assert len(pipe.readline()) == 1_000_000 - 3 + 1
    assert (pipe.readline(2), pipe.readline(), pipe.read(), pipe.read()) == (
        b"on", b"e\n", b"two", b"",
    )  # fmt: skip
    with pytest.raises(ValueError, match="closed"):
        pipe.write(b"late")
    assert not pipe.closed
    pipe.close()
    assert pipe.closed
    with pytest.raises(TypeError):
        PipeIO().write("text")  # type: ignore[arg-type]


def test_a_pipe_between_threads():
    pipe = PipeIO()
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read()))
    reader.start()
    pipe.write(b"one ")
    pipe.write(b"two")
    pipe.close()
    reader.join()
    assert read == [b"one two"]


def test_a_pipe_that_has_found_its_run():
    pipe = PipeIO()
    pipe.write(b"before")
    assert pipe._drain() == (b"before", False)
    pipe.write(b"between")
    later = []
    pipe._forward(lambda data, last: later.append((data, last)))
    pipe.write(b"after")
    pipe.close()
    assert later == [(b"between", False), (b"after", False), (b"", True)]


def test_what_can_be_read_and_written(tmp_path):
    path = tmp_path / "file"
    path.write_text("content")
    assert get_io_by_obj(None, IOMode.read) is None
    assert isinstance(get_io_by_obj(PIPE, IOMode.read), PipeIO)
    assert get_io_by_obj("text", IOMode.read).read() == "text"
    assert get_io_by_obj(b"bytes", IOMode.read).read() == b"bytes"
    with get_io_by_obj(path, IOMode.read) as file:
        assert file.read() == b"content"
    with get_io_by_obj(str(path), IOMode.write) as file:
        file.write(b"other")
    assert path.read_text() == "other"
    for own in (BytesIO(), StringIO()):
        assert get_io_by_obj(own, IOMode.write) is own
    for wrong in (b"bytes", 7, True):
        with pytest.raises(TypeError):
            get_io_by_obj(wrong, IOMode.write)
    assert (f"{IOMode.read}b", str(IOMode.write)) == ("rb", "w")


def test_files_in_every_form(tmp_path):
    local = tmp_path / "local.txt"
    uploaded = UploadedFile(uuid="u", sha256="s")
    specs = UploadFileSpec._prepare_files(
        [str(local), UploadFileSpec(source=uploaded, path="/up", uid=1, gid=2, mode=0o4755)]
    )
    assert [spec._wire() for spec in specs] == [
        ("/local.txt", str(local), None, 0, 0, "0644"),
        ("/up", None, "u", 1, 2, "4755"),
    ]
    (spec,) = UploadFileSpec._prepare_files({"bin/app": b"content"})
    assert spec._wire() == ("bin/app", b"content", None, 0, 0, "0644")
    (spec,) = UploadFileSpec._prepare_files([UploadFileSpec(source=local, mode=stat.S_IXUSR)])
    assert (spec.path, spec.source) == (PurePosixPath("/local.txt"), local)
    # The dict says where to, whatever the spec says.
    (spec,) = UploadFileSpec._prepare_files({"/here": UploadFileSpec(source=b"", path="/there")})
    assert spec.path == PurePosixPath("/here")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([b"content"], "7 bytes has no name"),
        ([UploadFileSpec(source=b"")], "no name"),
        ([UploadFileSpec(source=UploadedFile("u", "s"))], "no name"),
        (["/a/x", "/b/x"], "Duplicate destination path `/x`: `/a/x` and `/b/x`"),
    ],
)
def test_files_that_make_no_sense(files, message):
    with pytest.raises(ValueError, match=message):
        UploadFileSpec._prepare_files(files)
    with pytest.raises(TypeError, match="list"):
        UploadFileSpec._prepare_files("/a/x")


def test_bytes_in_json():
    for content in (b"", b"plain", "schön".encode(), bytes(range(256))):
        assert io_decode(io_encode(content)) == content
    assert io_encode("schön") == StreamDescription("schön", "ascii")
    assert io_decode(io_encode("schön")) == "schön".encode()
    assert io_decode(StreamDescription("\xff", "other")) == b"\xff"
    with pytest.raises(KeyError):
        io_encode(b"", "ascii")


def test_text_of_output_never_fails():
    assert text_of("grün ✓\n".encode()) == "grün ✓\n"
    assert text_of(b"a\xffb") == "a�b"
    cut = "✓".encode()[:2]
    assert text_of(b"cut " + cut, truncated=True) == "cut "
    # Nothing was cut: the program wrote no more than that.
    assert text_of(b"broken " + cut) == "broken �"


def test_text_in_pieces():
    decoder = TextDecoder()
    pieces = [bytes([byte]) for byte in "a✓ü".encode()]
    assert "".join(decoder.feed(piece) for piece in pieces) + decoder.finish() == "a✓ü"
    assert decoder.feed("ü".encode()[:1]) == ""
    assert decoder.finish() == "�"


def test_errors_say_what_and_pass_between_processes():
    operation = uuid4()
    failed = FailedOperationError(operation, "no such program")
    assert str(failed) == f"Operation {operation} has failed: no such program"
    assert failed.message == str(failed)
    absent = NotFoundError(
        error="gone", request=RequestInfo("http://h/x", "GET"), response=ResponseInfo({"a": "b"})
    )
    assert (absent.status, absent.error) == (404, "gone")
    assert "status=404" in str(absent) and "http://h/x" in str(absent)
    assert str(ForbiddenError(error="`spawn`")).endswith("perform this action: `spawn`")
    state = ContreeImageStateError(operation, ImageState.PREPARED, [ImageState.SUCCEEDED])
    assert f'"{operation}" cannot have state PREPARED' in str(state)
    for error in (failed, absent, state, ContreeTransportError(error="broken")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again) == (type(error), str(error), error)
        assert isinstance(again, ContreeError)
    assert isinstance(absent, ApiStatusCodeError)


def test_states_are_text():
    assert ImageState.PULLED == "PULLED"
    assert f"{ImageState.FAILED} {ImageState.FAILED!s}" == "FAILED FAILED"
    assert ImageState("SUCCEEDED") is ImageState.SUCCEEDED


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"args": "a b"}, TypeError, "list of words"),
        ({"args": ["a", 1]}, TypeError, "1, which is no string"),
        ({"env": {"A": 1}}, TypeError, "1 for A, which is no string"),
        ({"timeout": -0.5}, None, None),
        ({"timeout": -2}, ValueError, "timeout is -2"),
        ({"truncate_output_at": -1}, ValueError, "truncate_output_at is -1"),
        ({"stdin": 7}, TypeError, "7 is not supported as IO"),
        ({"stdin": Path("/no/such/file")}, FileNotFoundError, "/no/such/file"),
        ({"stdout": b"bytes"}, TypeError, "bytes cannot be used as output"),
        ({"stdout": "/no/such/folder/file"}, FileNotFoundError, "/no/such/folder/file"),
        ({"stderr": Path("/etc")}, IsADirectoryError, "/etc"),
        ({"stdout": Path("/etc/hostname/file")}, OSError, "/etc/hostname/file"),
        ({"files": ["/no/such/file"]}, FileNotFoundError, "/no/such/file"),
        ({"files": {"/x": "/etc"}}, IsADirectoryError, "/etc"),
        ({"files": {"/x": BytesIO()}}, TypeError, "is no source of a file"),
        ({"files": [UploadFileSpec(source=bytearray(), path="/x")]}, TypeError, "bytearray"),
        ({"timeout": 10**12}, ValueError, "timeout is 1000000000000"),
        ({"timeout": float("inf")}, ValueError, "timeout is inf"),
        ({"max_layer_bytes": 2**64}, ValueError, "more than"),
        ({"uid": 1.5}, TypeError, "float"),
        ({"tag": 1}, TypeError, "tag is 1"),
        ({"hostname": b"h"}, TypeError, "hostname is b'h'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(given, error, message):
    image = ContreeSync(base_url="http://127.0.0.1:1", token="t").images.use("debian")
    if error is None:
        assert image.run("true", **given).state == ImageState.PREPARED
    else:
        with pytest.raises(error, match=message):
            image.run("true", **given)
        # Nothing has changed.
        assert image.session().run("true").state == ImageState.PREPARED


@pytest.fixture
def image():
    """Of a server that is not there."""
    return ContreeSync(base_url="http://127.0.0.1:1", token="t").images.use("debian")


@pytest.mark.parametrize("command", [Path("/bin/echo"), b"echo", ["echo"]])
def test_commands_are_text(image, command):
    for given in ({"command": command}, {"shell": command}):
        with pytest.raises(TypeError, match="the command is .*echo"):
            image.run(**given)


def test_files_that_are_open_for_something_else_are_refused(image, tmp_path):
    path = tmp_path / "file"
    path.touch()
    for mode in ("r", "rb"):
        with path.open(mode) as file, pytest.raises(UnsupportedOperation, match="for writing"):
            image.run("true", stdout=file)
    for mode in ("w", "wb"):
        with path.open(mode) as file, pytest.raises(UnsupportedOperation, match="for reading"):
            image.run("true", stdin=file)
    with pytest.raises(ValueError, match="is closed"):
        image.run("true", stderr=file)


@pytest.mark.parametrize("nothing", [None, "", b"", 0, False, []])
def test_no_input(image, nothing):
    assert image.run("cat", stdin=nothing).stdin.read() == ""


def test_local_files_stay_the_same(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").write_text("content")
    prepared = image.run("cat", stdin=Path("in"), files=["in"])
    monkeypatch.chdir("/")
    with prepared.stdin as file:
        assert file.read() == b"content"
    (spec,) = prepared._prepared_request().files
    assert (spec.path, spec.source) == (PurePosixPath("/in"), tmp_path / "in")


def test_clients_can_be_copied(image):
    client = image.client
    _ = client._core
    for again in (pickle.loads(pickle.dumps(client)), copy.deepcopy(client)):
        assert (again.config, again._native) == (client.config, None)


@pytest.mark.parametrize(
    "kind",
    [
        ContreeImage, ContreeImageSync, ContreeSession, ContreeSessionSync, ContreeResult,
        ImageFile, ImageFileSync, ImageDirectory, ImageDirectorySync, Contree, ContreeSync,
    ],
)  # fmt: skip
def test_hints_can_be_read(kind):
    assert get_type_hints(kind)


@pytest.mark.asyncio
async def test_what_is_outdated_says_so(monkeypatch):
    found = object()

    async def by_tag(*_args):
        return found

    monkeypatch.setattr(ImagesBase, "_by_tag", by_tag)
    images = Contree(base_url="http://127.0.0.1:1", token="t").images
    assert iscoroutinefunction(images.pull)
    with pytest.warns(DeprecationWarning, match=r"^ImagesManager\.pull is deprecated\. ") as warned:
        assert await images.pull("debian") is found
    assert warned[0].filename == __file__
    blocking = ContreeSync(base_url="http://127.0.0.1:1", token="t").images
    with pytest.warns(DeprecationWarning, match=r"^ImagesManagerSync\.pull is ") as warned:
        assert blocking.pull("debian") is found
    assert warned[0].filename == __file__


@pytest.mark.asyncio
async def test_turns_need_no_threads():
    turn, order = Turn(), []
    threads = threading.active_count()

    async def take(name):
        async with turn:
            order.append(name)

    async with turn:
        tasks = [asyncio.create_task(take(number)) for number in range(100)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert threading.active_count() == threads
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [0, *range(2, 100)]


@pytest.mark.asyncio
async def test_a_turn_that_comes_to_a_cancelled_task_goes_to_the_next():
    turn = Turn()
    await turn.__aenter__()
    first, second = (asyncio.create_task(turn.__aenter__()) for _ in range(2))
    await asyncio.sleep(0)
    await turn.__aexit__(None, None, None)
    # It was called, and has not heard of it yet.
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    await second


def test_turns_between_threads_and_loops():
    turn, order = Turn(), []

    async def take(name):
        async with turn:
            order.append(name)

    _blocking.run(turn.__aenter__())
    threads = [threading.Thread(target=_blocking.run, args=[take("thread")])]
    threads += [threading.Thread(target=asyncio.run, args=[take("loop")])]
    for thread in threads:
        thread.start()
    _blocking.run(turn.__aexit__(None, None, None))
    for thread in threads:
        thread.join()
    assert sorted(order) == ["loop", "thread"]


def test_the_package_is_typed():
    import contree_sdk

    assert (Path(contree_sdk.__file__).parent / "py.typed").exists()
