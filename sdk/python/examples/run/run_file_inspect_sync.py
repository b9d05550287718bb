"""What a run left, looked at without running anything."""

import tempfile
from pathlib import Path

from contree_sdk import ContreeSync
from contree_sdk.sdk.objects.image_fs import ImageDirectorySync, ImageFileSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    made = image.run(
        shell="mkdir -p /out/logs && echo done > /out/report && echo 1 > /out/logs/first",
        disposable=False,
    ).wait()

    for entry in sorted(made.ls("/out"), key=lambda entry: entry.name):
        print(entry.full_path, entry.size if entry.is_file else "folder", entry.owner)
        if isinstance(entry, ImageDirectorySync):
            for inner in entry.ls():
                print(inner.full_path)
        if isinstance(entry, ImageFileSync):
            print(entry.read())

    print(made.read("/out/logs/first"))
    with tempfile.TemporaryDirectory() as folder:
        path = made.download("/out/report", Path(folder) / "report")
        print(path.name, Path(folder, "report").read_text())


main()
