"""Output while it is written, and everything else that happens in a run."""

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")

    stream = image.run(shell="for n in 1 2 3; do echo line $n; done; exit 2").stream()
    text = ""
    for chunk in stream:
        text += chunk.text
    print(text)
    # Waited for, it gives what waiting for the run would have given.
    print("exit code:", stream.wait().exit_code)

    kinds: list[str] = []
    for event in image.run("true").events():
        if event.type not in kinds:
            kinds.append(event.type)
    print("began with", kinds[0], "and ended with", kinds[-1])


main()
