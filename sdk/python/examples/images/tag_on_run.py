"""A run that names what it makes."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    made = await image.run(shell="echo ready > /state", tag="example/on-run:v1", disposable=False)
    print("named:", made.tag)

    found = await client.images.use("example/on-run:v1", strict=True)
    print("found:", found.uuid == made.uuid)
    await found.untag()


asyncio.run(main())
