"""A session goes on from what its last command left."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm", strict=True)
    session = image.session()

    await session.run(shell="mkdir /work && echo one > /work/log", disposable=False)
    await session.run(shell="echo two >> /work/log", disposable=False)
    await session.run(shell="cat /work/log", disposable=False)
    print(session.stdout)

    # Nothing was written by `cat`: the session stands where it was.
    before = session.uuid
    await session.run("true", disposable=False)
    print("moved:", session.uuid != before)
    print("the image is as it was:", image.uuid != session.uuid)
    print(await session.read("/work/log"))


asyncio.run(main())
