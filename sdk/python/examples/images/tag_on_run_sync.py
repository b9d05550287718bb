"""A run that names what it makes."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    made = image.run(shell="echo ready > /state", tag="example/on-run:v1", disposable=False).wait()
    print("named:", made.tag)

    found = client.images.use("example/on-run:v1", strict=True)
    print("found:", found.uuid == made.uuid)
    found.untag()


main()
