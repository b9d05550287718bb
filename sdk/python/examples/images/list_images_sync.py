"""The images that are there, by what they are and how old they are."""

from datetime import timedelta

from contree_sdk import ContreeSync
from contree_sdk.utils.models.image import ImageKind


def main() -> None:
    client = ContreeSync()

    imported = client.images(kind=ImageKind.IMPORTED, tagged=True)
    for image in imported:
        print("imported:", image.tag)

    recent = client.images(number=1, since=timedelta(days=1))
    print("some made within a day:", len(recent) == 1)

    # One after the other, asked for in batches while they are looked at.
    seen = 0
    for image in client.images:
        seen += image.tag is not None
    print("all tagged ones were seen:", seen >= len(imported))


main()
