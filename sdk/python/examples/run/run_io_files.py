"""Input from a file, output into files."""

import asyncio
import tempfile
from pathlib import Path

from contree_sdk import Contree


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    with tempfile.TemporaryDirectory() as folder:
        names, sorted_names, errors = (Path(folder, name) for name in ("names", "sorted", "errors"))
        names.write_text("carol\nalice\nbob\n")
        await image.run(
            shell="sort; echo finished >&2", stdin=names, stdout=sorted_names, stderr=errors
        )
        print(sorted_names.read_text())
        print(errors.read_text())

        with names.open("rb") as source, open(sorted_names, "wb") as target:
            await image.run("tac", stdin=source, stdout=target)
        print(sorted_names.read_text())


asyncio.run(main())
