"""A program with arguments, a place, an environment and a bound on its time."""

import asyncio
from datetime import timedelta

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    done = await image.run("/bin/ls", args=["-la"], cwd="/dev")
    names = {line.split()[-1]: line.split()[2] for line in str(done.stdout).splitlines()[1:]}
    for name in ("null", "random", "tty"):
        print(name, "belongs to", names[name])

    done = await image.run(
        "sh",
        args=["-c", 'echo "$GREETING from $(hostname) in $(pwd)"'],
        env={"GREETING": "hello"},
        cwd="/srv",
        hostname="sandbox",
        timeout=timedelta(seconds=30),
    )
    print(done.stdout)


asyncio.run(main())
