"""A program with arguments, a place, an environment and a bound on its time."""

from datetime import timedelta

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    done = image.run("/bin/ls", args=["-la"], cwd="/dev").wait()
    names = {line.split()[-1]: line.split()[2] for line in str(done.stdout).splitlines()[1:]}
    for name in ("null", "random", "tty"):
        print(name, "belongs to", names[name])

    done = image.run(
        "sh",
        args=["-c", 'echo "$GREETING from $(hostname) in $(pwd)"'],
        env={"GREETING": "hello"},
        cwd="/srv",
        hostname="sandbox",
        timeout=timedelta(seconds=30),
    ).wait()
    print(done.stdout)


main()
