"""Files that come along with a run."""

import asyncio
import tempfile
from pathlib import Path

from contree_sdk import Contree
from contree_sdk.utils.models.file import UploadFileSpec


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "count.sh"
        script.write_text('#!/bin/sh\nwc -l < "$1"\n')
        data = Path(folder) / "data.csv"
        data.write_text("a,1\nb,2\nc,3\n")

        # A list: each lands in the root under its own name, unless it says more.
        done = await image.run(
            "/count.sh",
            args=["/srv/data.csv"],
            files=[
                UploadFileSpec(source=script, mode=0o755),
                UploadFileSpec(source=data, path="/srv/data.csv"),
            ],
        )
        print("lines:", done.stdout)

        # A dict names the places; content may be given itself.
        done = await image.run(
            shell="sort -r /srv/data.csv; cat /srv/note",
            files={"/srv/data.csv": data, "/srv/note": b"from memory\n"},
        )
        print(done.stdout)

    # Files alone, for runs to come.
    prepared = await image.apply_files({"/srv/config": b"verbose=1\n"})
    done = await prepared.run("cat", args=["/srv/config"])
    print(done.stdout)


asyncio.run(main())
