"""Hundreds of runs at the same time, from one process."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    # One connection tells of the ends of all of them.
    runs = [image.run(shell=f"echo $(({number} * {number}))") for number in range(200)]
    done = await asyncio.gather(*runs)
    print("sum:", sum(int(str(one.stdout)) for one in done))


asyncio.run(main())
