"""A run that is spoken to, and joined by further processes, while it goes on."""

from subprocess import PIPE

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")

    run = image.run(shell="read word; echo $word > /word; cat", stdin=PIPE).start()
    run.write_stdin("hello\n")

    # A second process in the same sandbox.
    other = run.exec(shell="until grep . /word; do sleep 0.01; done 2>/dev/null")
    print("seen beside it:", other.wait().stdout)

    # From anywhere else the run is found again by its number.
    same = client.operations.attach(run.uuid)
    same.write_stdin("and goodbye\n")
    same.close_stdin()
    done = run.wait()
    print("from the run itself:", done.stdout)

    # In the manner of the subprocess module.
    with image.popen(["sleep", "3000"]) as process:
        process.terminate()
    print("ended by a signal:", process.returncode)


main()
