"""A name for what a run made."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    made = image.run(shell="echo ready > /state", disposable=False).wait()
    print("no name:", made.tag)

    tagged = made.tag_as("example/tagged:v1")
    print("named:", tagged.tag, tagged.uuid == made.uuid)

    untagged = tagged.untag()
    print("no name:", untagged.tag)


main()
