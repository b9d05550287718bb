"""Many attempts from one state at the same time; the best one is gone on from."""

import asyncio

from contree_sdk import Contree
from contree_sdk.sdk.objects.image import ContreeImage


async def attempt(base: ContreeImage, number: int) -> ContreeImage:
    return await base.run(shell=f"echo $(({number} * 7 % 10)) > /score", disposable=False)


async def score(image: ContreeImage) -> int:
    return int(await image.read("/score"))


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    base = await image.run(shell="echo 0 > /score", disposable=False)

    attempts = await asyncio.gather(*(attempt(base, number) for number in range(8)))
    scores = await asyncio.gather(*(score(image) for image in attempts))
    print("scores:", scores)

    best = attempts[scores.index(max(scores))]
    done = await best.run(shell="echo best so far: $(cat /score)")
    print(done.stdout)


asyncio.run(main())
