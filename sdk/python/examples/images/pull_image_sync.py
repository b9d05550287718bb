"""An image from a registry: imported when it is not here, used when it is."""

import sys

from contree_sdk import ContreeSync


def main() -> None:
    reference = sys.argv[1] if len(sys.argv) > 1 else "docker.io/library/busybox:latest"
    client = ContreeSync()

    image = client.images.oci(reference)
    print("here:", image.uuid)
    again = client.images.oci(reference)
    print("imported once:", again.uuid == image.uuid)

    # Under a name of one's own; the content is the same, and so is the image.
    named = client.images.import_from(reference, tag="pulled:mine")
    print("named:", named.tag, named.uuid == image.uuid)
    named.untag()


main()
