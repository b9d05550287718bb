"""Input and output as text, bytes and objects."""

from io import BytesIO, StringIO

from contree_sdk import ContreeSync


def main() -> None:
    client = ContreeSync()
    image = client.images.use("debian:bookworm")

    done = image.run("cat", stdin="plain text").wait()
    print(repr(done.stdout))

    binary = bytes(range(256))
    done = image.run("cat", stdin=binary, stdout=bytes).wait()
    print("the same bytes:", done.stdout == binary)

    out, err = BytesIO(), StringIO()
    image.run(
        shell="tr a-z A-Z; echo warned >&2", stdin=StringIO("loud"), stdout=out, stderr=err
    ).wait()
    print(out.getvalue(), repr(err.getvalue()))


main()
