"""Images by name and by uuid, looked up at once or with the run."""

from contree_sdk import ContreeSync
from contree_sdk.sdk.exceptions import NotFoundError


def main() -> None:
    client = ContreeSync()

    # Nobody is asked before the run.
    lazy = client.images.use("debian:bookworm")
    print("lazy:", lazy.uuid, lazy.tag)

    strict = client.images.use("debian:bookworm", strict=True)
    print("strict:", strict.uuid, strict.tag)

    by_uuid = client.images.use(str(strict.uuid))
    done = by_uuid.run("cat", args=["/etc/debian_version"]).wait()
    print("version:", done.stdout)

    try:
        client.images.use("no/such:image", strict=True)
    except NotFoundError as error:
        print("missing:", error.status)


main()
