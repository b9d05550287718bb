"""A session goes on from what its last command left."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm", strict=True)
    session = image.session()

    session.run(shell="mkdir /work && echo one > /work/log", disposable=False).wait()
    session.run(shell="echo two >> /work/log", disposable=False).wait()
    session.run(shell="cat /work/log", disposable=False).wait()
    print(session.stdout)

    # Nothing was written by `cat`: the session stands where it was.
    before = session.uuid
    session.run("true", disposable=False).wait()
    print("moved:", session.uuid != before)
    print("the image is as it was:", image.uuid != session.uuid)
    print(session.read("/work/log"))


main()
