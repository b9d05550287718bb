"""Variables that later runs find again."""

import asyncio

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    kept = await image.run(
        "true", env={"MY_PERSISTED_VAR": "still here"}, preserve_env=True, disposable=False
    )

    done = await kept.run("/bin/printenv", args=["MY_PERSISTED_VAR"])
    print("kept:", done.stdout)

    lost = await image.run("true", env={"MY_PERSISTED_VAR": "gone"}, disposable=False)
    done = await lost.run("/bin/printenv", args=["MY_PERSISTED_VAR"])
    print("not kept:", done.exit_code)


asyncio.run(main())
