"""What people write with the blocking client. It is checked, and never run."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from subprocess import PIPE
from typing import Literal, assert_type
from uuid import UUID

from contree_sdk import ContreeSync
from contree_sdk.auth import IAMAuth, JWTAuth
from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.exceptions import (
    ApiStatusCodeError,
    CancelledOperationError,
    ContreeError,
    FailedOperationError,
    NotFoundError,
    OperationTimedOutError,
)
from contree_sdk.sdk.objects.image import ContreeImageSync
from contree_sdk.sdk.objects.image_fs import ImageDirectorySync, ImageFileSync
from contree_sdk.sdk.objects.session import ContreeSessionSync
from contree_sdk.utils.models.auth import WhoAmI
from contree_sdk.utils.models.file import UploadedFile, UploadFileSpec
from contree_sdk.utils.models.image import ImageKind


def connect(token: str | None) -> ContreeSync:
    if token is None:
        return ContreeSync()
    config = ContreeConfig(
        auth=JWTAuth(token=token, base_url="http://127.0.0.1:9450"),
        operation_timeout=60,
        default_truncate_output_at=1 << 20,
    )
    config.auth = IAMAuth(token=token, project_id="mine")
    return ContreeSync(config)


def find(client: ContreeSync, name: str | UUID) -> ContreeImageSync:
    try:
        return client.images.use(name, strict=True)
    except NotFoundError as error:
        print(error.status, error.error)
        return client.images.oci("docker.io/library/busybox", tag="busybox", timeout=120)


def everything(client: ContreeSync) -> list[str]:
    listed = client.images(number=None, kind=ImageKind.IMPORTED, since=timedelta(days=1))
    assert_type(listed, list[ContreeImageSync])
    tags = [image.tag for image in listed if image.tag is not None]
    for image in client.images:
        assert_type(image, ContreeImageSync)
    info = client.get_token_info(refresh=True)
    assert_type(info, WhoAmI)
    return tags


def run(image: ContreeImageSync, local: Path) -> int:
    prepared = image.run(
        "python3",
        args=("-c", "print(1)"),
        env={"A": "b"},
        cwd="/work",
        hostname="box",
        stdin=b"input",
        stdout=bytes,
        stderr=BytesIO(),
        tag="made:1",
        files={"/work/a": local, "/work/b": b"c", "/d": UploadFileSpec(source=local, mode=0o755)},
        timeout=timedelta(seconds=5),
        disposable=False,
        truncate_output_at=100,
        preserve_env=True,
    )
    assert_type(prepared, ContreeImageSync)
    done = prepared.wait()
    assert_type(done, ContreeImageSync)
    assert_type(done.exit_code, int)
    assert_type(done.elapsed, timedelta)
    assert_type(done.uuid, UUID | None)
    assert_type(done.result.truncated, bool)
    assert_type(done.result.stdout_bytes, bytes)
    many = [image.run(shell=f"echo {number}").wait() for number in range(3)]
    assert_type(many, list[ContreeImageSync])
    return sum(one.exit_code for one in many)


def look(image: ContreeImageSync) -> bytes:
    for entry in image.ls("/srv"):
        if isinstance(entry, ImageDirectorySync):
            entry.ls("deeper")
        else:
            assert_type(entry, ImageFileSync)
            print(entry.size, entry.mode, entry.full_path)
            entry.download("/tmp/here")
    tagged = image.tag_as("name:1")
    assert_type(tagged.untag(), ContreeImageSync)
    assert_type(image.apply_files({"/a": b"b"}), ContreeImageSync)
    return image.read("/etc/passwd")


def session(image: ContreeImageSync) -> None:
    session = image.session()
    assert_type(session, ContreeSessionSync)
    assert_type(session.run(shell="true", disposable=False).wait(), ContreeSessionSync)


def beyond(image: ContreeImageSync, client: ContreeSync) -> None:
    for chunk in image.run(shell="make", networking=False, uid=1000).stream():
        assert_type(chunk.data, bytes)
        assert_type(chunk.text, str)
        assert_type(chunk.stream, Literal["stdout", "stderr"])
    running = image.run("sh", stdin=PIPE).start()
    assert_type(running.uuid, UUID)
    running.write_stdin("exit 3\n")
    other = running.exec("ps", args=["aux"])
    result = other.wait()
    assert_type(result.exit_code, int)
    for event in running.events():
        print(event)
    running.signal("TERM")
    running.close_stdin()
    done = running.wait()
    assert_type(done, ContreeImageSync)
    again = client.operations.attach(running.uuid)
    again.cancel()
    for match in image.grep("root", paths=["/etc"], case="insensitive"):
        assert_type(match.path, str)
        assert_type(match.line_number, int)
    assert_type(image.archive("/etc"), bytes)
    assert_type(image.archive("/etc", "/tmp/etc.tar", gzip=True), Path)
    with image.popen(["cat"], stdin=PIPE, text=True) as process:
        process.communicate("text")
        assert_type(process.returncode, int)
    assert_type(client.files.upload("file"), UploadedFile)


def careful(image: ContreeImageSync) -> str:
    try:
        image.run("true").wait()
    except FailedOperationError as error:
        return f"{error.operation_uuid} {error.error}"
    except (CancelledOperationError, OperationTimedOutError) as error:
        return str(error.operation_uuid)
    except ApiStatusCodeError as error:
        return f"{error.status} {error.request and error.request.url}"
    except ContreeError as error:
        return error.message
    return ""
