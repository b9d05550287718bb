"""Hundreds of runs at the same time, from threads."""

from concurrent.futures import ThreadPoolExecutor

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    runs = [image.run(shell=f"echo $(({number} * {number}))") for number in range(200)]
    with ThreadPoolExecutor(len(runs)) as threads:
        done = list(threads.map(lambda run: run.wait(), runs))
    print("sum:", sum(int(str(one.stdout)) for one in done))


main()
