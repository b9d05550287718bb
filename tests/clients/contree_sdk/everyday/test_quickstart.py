"""What people do first, in either form, with the settings that the SDK comes with."""

from contree_sdk.auth import IAMAuth, JWTAuth
from contree_sdk.config import ContreeConfig

from conftest import DEBIAN, TOKEN, URL
from contree_sdk import Contree, ContreeSync


async def test_the_asynchronous_way():
    client = Contree(ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=URL)))
    images = await client.images()
    assert DEBIAN in {image.tag for image in images}

    image = await client.images.use(DEBIAN)
    hello = await image.run(shell="echo 'Hello from ConTree'", disposable=False)
    assert hello.stdout == "Hello from ConTree\n"
    assert hello.stderr == ""
    assert hello.exit_code == 0
    assert hello.uuid is not None

    written = await hello.run("/bin/sh", args=["-c", "echo kept > /kept"], disposable=False)
    assert written.uuid != hello.uuid
    read = await written.run("/bin/cat", args=["/kept"])
    assert read.stdout == "kept\n"
    failed = await written.run(shell="echo oops >&2; exit 3")
    assert (failed.exit_code, failed.stderr) == (3, "oops\n")


def test_the_blocking_way():
    client = ContreeSync(ContreeConfig(auth=IAMAuth(token=TOKEN, base_url=URL, project_id="mine")))
    assert DEBIAN in {image.tag for image in client.images()}

    image = client.images.use(DEBIAN, strict=True)
    assert image.uuid is not None
    hello = image.run(shell="echo 'Hello from ConTree'", disposable=False).wait()
    assert (hello.stdout, hello.stderr, hello.exit_code) == ("Hello from ConTree\n", "", 0)
    written = hello.run("/bin/sh", args=["-c", "echo kept > /kept"], disposable=False).wait()
    assert written.run("/bin/cat", args=["/kept"]).wait().stdout == "kept\n"


async def test_a_session_goes_on_from_run_to_run():
    client = Contree(ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=URL)))
    session = (await client.images.use(DEBIAN)).session()
    await session.run(shell="mkdir /work && echo 1 > /work/count", disposable=False)
    await session.run(shell="echo 2 >> /work/count", disposable=False)
    await session.run(shell="cat /work/count", disposable=False)
    assert session.stdout == "1\n2\n"
