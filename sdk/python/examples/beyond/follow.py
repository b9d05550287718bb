"""Output while it is written, and everything else that happens in a run."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")

    stream = image.run(shell="for n in 1 2 3; do echo line $n; done; exit 2").stream()
    text = ""
    async for chunk in stream:
        text += chunk.text
    print(text)
    # Awaited, it gives what awaiting the run would have given.
    print("exit code:", (await stream).exit_code)

    kinds: list[str] = []
    async for event in image.run("true").events():
        if event.type not in kinds:
            kinds.append(event.type)
    print("began with", kinds[0], "and ended with", kinds[-1])


asyncio.run(main())
