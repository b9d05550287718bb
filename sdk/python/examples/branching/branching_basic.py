"""Two attempts from one state, and a way back to it."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    base = await image.run(shell="mkdir /app && echo v1 > /app/version", disposable=False)

    careful = await base.run(shell="echo v1.1 > /app/version", disposable=False)
    daring = await base.run(shell="rm -r /app", disposable=False)

    for name, branch in (("base", base), ("careful", careful), ("daring", daring)):
        done = await branch.run(shell="cat /app/version 2>/dev/null || echo nothing left")
        print(name, done.stdout)
    print("three images:", len({base.uuid, careful.uuid, daring.uuid}) == 3)


asyncio.run(main())
