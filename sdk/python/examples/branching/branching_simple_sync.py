"""Many attempts from one state, from threads; the best one is gone on from."""

from concurrent.futures import ThreadPoolExecutor

from contree_sdk import ContreeSync
from contree_sdk.sdk.objects.image import ContreeImageSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")
    base = image.run(shell="echo 0 > /score", disposable=False).wait()

    def attempt(number: int) -> ContreeImageSync:
        return base.run(shell=f"echo $(({number} * 7 % 10)) > /score", disposable=False).wait()

    with ThreadPoolExecutor() as threads:
        attempts = list(threads.map(attempt, range(8)))
        scores = [int(content) for content in threads.map(lambda it: it.read("/score"), attempts)]
    print("scores:", scores)

    best = attempts[scores.index(max(scores))]
    done = best.run(shell="echo best so far: $(cat /score)").wait()
    print(done.stdout)


main()
