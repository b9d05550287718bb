"""Input and output in every form that a run takes them."""

from io import BytesIO, StringIO
from subprocess import PIPE

import pytest

from package import OURS

BINARY = bytes(range(256)) * 4


@pytest.fixture
def cat(sdk, debian):
    """Runs `cat` with this stdin and returns its stdout."""

    def cat(stdin, stdout=bytes):
        return sdk.done(debian.run("/bin/cat", stdin=stdin, stdout=stdout)).stdout

    return cat


@pytest.mark.parametrize("text", ["", "plain\n", "schön ✓\n", 'quote " back \\ tab \t'])
def test_text_goes_in(cat, text):
    assert cat(text) == text.encode()
    assert cat(StringIO(text)) == text.encode()
    assert cat(text, stdout=str) == text


def test_bytes_go_in(cat):
    assert cat(BINARY) == BINARY
    assert cat(BytesIO(BINARY)) == BINARY


def test_files_go_in(cat, tmp_path):
    path = tmp_path / "input"
    path.write_bytes(BINARY)
    assert cat(path) == BINARY
    with path.open("rb") as file:
        assert cat(file) == BINARY
    path.write_text("text of a file\n")
    with path.open() as file:
        assert cat(file) == b"text of a file\n"


def test_much_goes_in_and_out(sdk, debian):
    content = BINARY * 4096
    run = debian.run("/bin/cat", stdin=content, stdout=bytes, truncate_output_at=8 * 1024 * 1024)
    assert sdk.done(run).stdout == content


def test_a_pipe_goes_in(sdk, debian):
    run = debian.run("/bin/cat", stdin=PIPE)
    run.stdin.write(b"through the pipe")
    run.stdin.close()
    assert sdk.done(run).stdout == "through the pipe"


def test_output_as_text_or_bytes(sdk, debian):
    script = "printf 'gr\\303\\274n'; printf 'no\\377' >&2"
    done = sdk.done(debian.run(shell=script, stdout=str, stderr=bytes))
    assert (done.stdout, done.stderr) == ("grün", b"no\xff")


# The one intended difference between the packages in what runs come to: the published one raises
# when output that is to be text is not UTF-8, also when it was cut within a character. A run whose
# result cannot be had is lost, so ours never raises: it leaves out what the cut left of a
# character, and replaces other bytes. The bytes themselves are under names of their own.


@pytest.mark.parametrize(
    ("script", "limit", "text", "content"),
    [
        ("printf 'no\\377pe\\n'", None, "no\ufffdpe\n", b"no\xffpe\n"),
        # Text is cut by the server, between characters.
        ("printf 'gr\\303\\274n'", 3, "gr", b"gr"),
        ("printf 'gr\\303\\274n'", 4, "grü", b"gr\xc3\xbc"),
        ("printf '\\360\\237\\214\\263'", 3, "", b""),
        # Not cut: the program itself wrote half a character.
        ("printf 'gr\\303'", None, "gr\ufffd", b"gr\xc3"),
        # Cut by the server as the bytes that they are.
        ("printf '\\377gr\\303\\274'", 4, "\ufffdgr", b"\xffgr\xc3"),
    ],
)
@pytest.mark.parametrize("stdout", [None, str])
def test_output_that_is_not_utf8(sdk, debian, script, limit, text, content, stdout):
    run = debian.run(shell=script, truncate_output_at=limit, stdout=stdout)
    if not OURS:
        if text.encode() != content:
            with pytest.raises(UnicodeDecodeError):
                sdk.done(run)
        else:
            assert sdk.done(run).stdout == text
        return
    done = sdk.done(run)
    assert (done.stdout, done.result.stdout_bytes) == (text, content)
    assert done.result.truncated is (limit is not None)
    # The same for the other stream.
    done = sdk.done(debian.run(shell=f"{script} >&2", truncate_output_at=limit))
    assert (done.stderr, done.result.stderr_bytes) == (text, content)


def test_output_into_objects(sdk, debian):
    out, err = BytesIO(), StringIO()
    done = sdk.done(debian.run(shell="echo out; echo err >&2", stdout=out, stderr=err))
    assert (done.stdout, done.stderr) == (out, err)
    assert (out.getvalue(), err.getvalue()) == (b"out\n", "err\n")


def test_output_into_files(sdk, debian, tmp_path):
    out, err = tmp_path / "out", tmp_path / "err"
    done = sdk.done(debian.run(shell="echo out; echo err >&2", stdout=out, stderr=str(err)))
    done.stdout.close()
    done.stderr.close()
    assert (out.read_bytes(), err.read_bytes()) == (b"out\n", b"err\n")
    with out.open("w") as file:
        sdk.done(debian.run("echo", args=["text"], stdout=file))
    assert out.read_text() == "text\n"


def test_output_into_a_pipe(sdk, debian):
    done = sdk.done(debian.run("echo", args=["through the pipe"], stdout=PIPE))
    assert done.stdout.read() == b"through the pipe\n"
    done.stdout.close()


def test_what_cannot_be_output(sdk, debian):
    with pytest.raises(TypeError):
        sdk.done(debian.run("echo", stdout=b"bytes"))
