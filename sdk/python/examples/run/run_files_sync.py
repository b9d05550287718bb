"""Files that come along with a run."""

import tempfile
from pathlib import Path

from contree_sdk import ContreeSync
from contree_sdk.utils.models.file import UploadFileSpec


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "count.sh"
        script.write_text('#!/bin/sh\nwc -l < "$1"\n')
        data = Path(folder) / "data.csv"
        data.write_text("a,1\nb,2\nc,3\n")

        # A list: each lands in the root under its own name, unless it says more.
        done = image.run(
            "/count.sh",
            args=["/srv/data.csv"],
            files=[
                UploadFileSpec(source=script, mode=0o755),
                UploadFileSpec(source=data, path="/srv/data.csv"),
            ],
        ).wait()
        print("lines:", done.stdout)

        # A dict names the places; content may be given itself.
        done = image.run(
            shell="sort -r /srv/data.csv; cat /srv/note",
            files={"/srv/data.csv": data, "/srv/note": b"from memory\n"},
        ).wait()
        print(done.stdout)

    # Files alone, for runs to come.
    prepared = image.apply_files({"/srv/config": b"verbose=1\n"})
    done = prepared.run("cat", args=["/srv/config"]).wait()
    print(done.stdout)


main()
