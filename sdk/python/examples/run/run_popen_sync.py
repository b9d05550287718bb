"""Runs in the manner of the subprocess module."""

import subprocess

from contree_sdk import ContreeSync


def main() -> None:
    image = ContreeSync().images.use("debian:bookworm")

    process = image.popen(["cat"], text=True)
    stdout, stderr = process.communicate("a\nb\nc\n")
    print(repr(stdout), repr(stderr))

    process = image.popen("echo hello && ls -d /etc", shell=True, cwd="/", text=True)
    process.wait()
    print(process.returncode, repr(process.stdout))

    process = image.popen(["false"], check=True)
    try:
        process.wait()
    except subprocess.CalledProcessError as error:
        print("failed with", error.returncode)


main()
