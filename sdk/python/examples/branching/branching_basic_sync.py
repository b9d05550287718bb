"""Two attempts from one state, and a way back to it."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    base = image.run(shell="mkdir /app && echo v1 > /app/version", disposable=False).wait()

    careful = base.run(shell="echo v1.1 > /app/version", disposable=False).wait()
    daring = base.run(shell="rm -r /app", disposable=False).wait()

    for name, branch in (("base", base), ("careful", careful), ("daring", daring)):
        done = branch.run(shell="cat /app/version 2>/dev/null || echo nothing left").wait()
        print(name, done.stdout)
    print("three images:", len({base.uuid, careful.uuid, daring.uuid}) == 3)


main()
