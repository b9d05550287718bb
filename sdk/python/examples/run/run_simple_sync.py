"""A line for the shell, and what became of it."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    done = image.run(shell="echo Hello; echo careful >&2; exit 3").wait()
    print("stdout:", done.stdout)
    print("stderr:", done.stderr)
    print("exit code:", done.exit_code)

    # What is written is kept when the run is not disposable.
    first = image.run(shell="echo kept > /note", disposable=False).wait()
    second = first.run(shell="cat /note").wait()
    print("note:", second.stdout)


main()
