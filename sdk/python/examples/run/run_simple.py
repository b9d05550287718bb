"""A line for the shell, and what became of it."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    done = await image.run(shell="echo Hello; echo careful >&2; exit 3")
    print("stdout:", done.stdout)
    print("stderr:", done.stderr)
    print("exit code:", done.exit_code)

    # What is written is kept when the run is not disposable.
    first = await image.run(shell="echo kept > /note", disposable=False)
    second = await first.run(shell="cat /note")
    print("note:", second.stdout)


asyncio.run(main())
