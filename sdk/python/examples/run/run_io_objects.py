"""Input and output as text, bytes and objects."""

import asyncio
from io import BytesIO, StringIO

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")

    done = await image.run("cat", stdin="plain text")
    print(repr(done.stdout))

    binary = bytes(range(256))
    done = await image.run("cat", stdin=binary, stdout=bytes)
    print("the same bytes:", done.stdout == binary)

    out, err = BytesIO(), StringIO()
    await image.run(
        shell="tr a-z A-Z; echo warned >&2", stdin=StringIO("loud"), stdout=out, stderr=err
    )
    print(out.getvalue(), repr(err.getvalue()))


asyncio.run(main())
