"""A run that is spoken to, and joined by further processes, while it goes on."""

import asyncio
from subprocess import PIPE

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")

    run = await image.run(shell="read word; echo $word > /word; cat", stdin=PIPE).start()
    await run.write_stdin("hello\n")

    # A second process in the same sandbox.
    other = await run.exec(shell="until grep . /word; do sleep 0.01; done 2>/dev/null")
    print("seen beside it:", (await other.wait()).stdout)

    # From anywhere else the run is found again by its number.
    same = client.operations.attach(run.uuid)
    await same.write_stdin("and goodbye\n")
    await same.close_stdin()
    done = await run
    print("from the run itself:", done.stdout)

    # In the manner of the subprocess module.
    async with image.popen(["sleep", "3000"]) as process:
        await process.terminate()
    print("ended by a signal:", process.returncode)


asyncio.run(main())
