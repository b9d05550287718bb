"""Searching in an image, and taking a folder out of it, without running anything."""

import io
import tarfile

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    made = image.apply_files(
        {"/app/main.py": b"import os\n\nprint(os.name)\n", "/app/notes.txt": b"print later\n"}
    )

    for match in made.grep(r"print\b", paths=["/app"], globs=["*.py"]):
        print(f"{match.path}:{match.line_number}: {match.line_text}")

    packed = made.archive("/app")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        print(sorted(name for name in archive.getnames() if name.endswith((".py", ".txt"))))


main()
