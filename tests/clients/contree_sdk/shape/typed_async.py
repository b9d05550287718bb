"""What people write with the asynchronous client. It is checked, and never run."""

import asyncio
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from subprocess import PIPE
from typing import Literal, assert_type
from uuid import UUID

from contree_sdk import Contree
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
from contree_sdk.sdk.objects.image import ContreeImage
from contree_sdk.sdk.objects.image_fs import ImageDirectory, ImageFile
from contree_sdk.sdk.objects.session import ContreeSession
from contree_sdk.utils.models.auth import WhoAmI
from contree_sdk.utils.models.file import UploadedFile, UploadFileSpec
from contree_sdk.utils.models.image import ImageKind


def connect(token: str | None) -> Contree:
    if token is None:
        return Contree()
    config = ContreeConfig(
        auth=JWTAuth(token=token, base_url="http://127.0.0.1:9450"),
        operation_timeout=60,
        default_truncate_output_at=1 << 20,
    )
    config.auth = IAMAuth(token=token, project_id="mine")
    return Contree(config)


async def find(client: Contree, name: str | UUID) -> ContreeImage:
    try:
        return await client.images.use(name, strict=True)
    except NotFoundError as error:
        print(error.status, error.error)
        return await client.images.oci("docker.io/library/busybox", tag="busybox", timeout=120)


async def everything(client: Contree) -> list[str]:
    listed = await client.images(number=None, kind=ImageKind.IMPORTED, since=timedelta(days=1))
    assert_type(listed, list[ContreeImage])
    tags = [image.tag for image in listed if image.tag is not None]
    async for image in client.images:
        assert_type(image, ContreeImage)
    info = await client.get_token_info(refresh=True)
    assert_type(info, WhoAmI)
    return tags


async def run(image: ContreeImage, local: Path) -> int:
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
    assert_type(prepared, ContreeImage)
    done = await prepared
    assert_type(done, ContreeImage)
    assert_type(done.exit_code, int)
    assert_type(done.elapsed, timedelta)
    assert_type(done.uuid, UUID | None)
    assert_type(done.result.truncated, bool)
    assert_type(done.result.stdout_bytes, bytes)
    many = await asyncio.gather(*(image.run(shell=f"echo {number}") for number in range(3)))
    assert_type(many, list[ContreeImage])
    return sum(one.exit_code for one in many)


async def look(image: ContreeImage) -> bytes:
    for entry in await image.ls("/srv"):
        if isinstance(entry, ImageDirectory):
            await entry.ls("deeper")
        else:
            assert_type(entry, ImageFile)
            print(entry.size, entry.mode, entry.full_path)
            await entry.download("/tmp/here")
    tagged = await image.tag_as("name:1")
    assert_type(await tagged.untag(), ContreeImage)
    assert_type(await image.apply_files({"/a": b"b"}), ContreeImage)
    return await image.read("/etc/passwd")


async def session(image: ContreeImage) -> None:
    session = image.session()
    assert_type(session, ContreeSession)
    assert_type(await session.run(shell="true", disposable=False), ContreeSession)


async def beyond(image: ContreeImage, client: Contree) -> None:
    async for chunk in image.run(shell="make", networking=False, uid=1000).stream():
        assert_type(chunk.data, bytes)
        assert_type(chunk.text, str)
        assert_type(chunk.stream, Literal["stdout", "stderr"])
    running = await image.run("sh", stdin=PIPE).start()
    assert_type(running.uuid, UUID)
    await running.write_stdin("exit 3\n")
    other = await running.exec("ps", args=["aux"])
    result = await other.wait()
    assert_type(result.exit_code, int)
    async for event in running.events():
        print(event)
    await running.signal("TERM")
    await running.close_stdin()
    done = await running
    assert_type(done, ContreeImage)
    again = client.operations.attach(running.uuid)
    await again.cancel()
    for match in await image.grep("root", paths=["/etc"], case="insensitive"):
        assert_type(match.path, str)
        assert_type(match.line_number, int)
    assert_type(await image.archive("/etc"), bytes)
    assert_type(await image.archive("/etc", "/tmp/etc.tar", gzip=True), Path)
    async with image.popen(["cat"], stdin=PIPE, text=True) as process:
        await process.communicate("text")
        assert_type(process.returncode, int)
    assert_type(await client.files.upload("file"), UploadedFile)


async def careful(image: ContreeImage) -> str:
    try:
        await image.run("true")
    except FailedOperationError as error:
        return f"{error.operation_uuid} {error.error}"
    except (CancelledOperationError, OperationTimedOutError) as error:
        return str(error.operation_uuid)
    except ApiStatusCodeError as error:
        return f"{error.status} {error.request and error.request.url}"
    except ContreeError as error:
        return error.message
    return ""
