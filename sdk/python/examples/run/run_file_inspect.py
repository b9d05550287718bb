"""What a run left, looked at without running anything."""

import asyncio
import tempfile
from pathlib import Path

from contree_sdk import Contree
from contree_sdk.sdk.objects.image_fs import ImageDirectory, ImageFile


async def main() -> None:
    client = Contree()
    image = await client.images.use("debian:bookworm")
    made = await image.run(
        shell="mkdir -p /out/logs && echo done > /out/report && echo 1 > /out/logs/first",
        disposable=False,
    )

    for entry in sorted(await made.ls("/out"), key=lambda entry: entry.name):
        print(entry.full_path, entry.size if entry.is_file else "folder", entry.owner)
        if isinstance(entry, ImageDirectory):
            for inner in await entry.ls():
                print(inner.full_path)
        if isinstance(entry, ImageFile):
            print(await entry.read())

    print(await made.read("/out/logs/first"))
    with tempfile.TemporaryDirectory() as folder:
        path = await made.download("/out/report", Path(folder) / "report")
        print(path.name, Path(folder, "report").read_text())


asyncio.run(main())
