"""Images by name and by uuid, looked up at once or with the run."""

import asyncio

from contree_sdk import Contree
from contree_sdk.sdk.exceptions import NotFoundError


async def main() -> None:
    client = Contree()

    # Nobody is asked before the run.
    lazy = await client.images.use("debian:bookworm")
    print("lazy:", lazy.uuid, lazy.tag)

    strict = await client.images.use("debian:bookworm", strict=True)
    print("strict:", strict.uuid, strict.tag)

    by_uuid = await client.images.use(str(strict.uuid))
    done = await by_uuid.run("cat", args=["/etc/debian_version"])
    print("version:", done.stdout)

    try:
        await client.images.use("no/such:image", strict=True)
    except NotFoundError as error:
        print("missing:", error.status)


asyncio.run(main())
