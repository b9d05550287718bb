"""A name for what a run made."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    made = await image.run(shell="echo ready > /state", disposable=False)
    print("no name:", made.tag)

    tagged = await made.tag_as("example/tagged:v1")
    print("named:", tagged.tag, tagged.uuid == made.uuid)

    untagged = await tagged.untag()
    print("no name:", untagged.tag)


asyncio.run(main())
