"""The images that are there, by what they are and how old they are."""

import asyncio
from datetime import timedelta

from contree_sdk import Contree
from contree_sdk.utils.models.image import ImageKind


async def main() -> None:
    client = Contree()

    imported = await client.images(kind=ImageKind.IMPORTED, tagged=True)
    for image in imported:
        print("imported:", image.tag)

    recent = await client.images(number=1, since=timedelta(days=1))
    print("some made within a day:", len(recent) == 1)

    # One after the other, asked for in batches while they are looked at.
    seen = 0
    async for image in client.images:
        seen += image.tag is not None
    print("all tagged ones were seen:", seen >= len(imported))


asyncio.run(main())
