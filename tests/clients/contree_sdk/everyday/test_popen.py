"""Runs in the manner of the subprocess module, which the blocking client has."""

from io import BytesIO
from subprocess import PIPE, CalledProcessError

import pytest

from conftest import DEBIAN
from contree_sdk import ContreeSync


@pytest.fixture
def image(config):
    return ContreeSync(config).images.use(DEBIAN)


def test_a_list_of_words(image):
    process = image.popen(["/bin/echo", "two words", "$HOME"])
    process.wait()
    assert (process.returncode, process.stdout, process.stderr) == (0, "two words $HOME\n", "")


def test_a_line_for_the_shell(image):
    process = image.popen(
        "echo $GREETING; pwd; exit 3", shell=True, env={"GREETING": "hi"}, cwd="/tmp"
    )
    process.wait()
    assert (process.returncode, process.stdout) == (3, "hi\n/tmp\n")


@pytest.mark.parametrize("name", ["stdin", "input"])
def test_input(image, name):
    process = image.popen(["cat"], **{name: b"\x00\xff"}, stdout=bytes)
    process.wait()
    assert process.stdout == b"\x00\xff"


def test_input_at_the_end(image):
    out, err = image.popen(["cat"]).communicate("late input")
    assert (out, err) == ("late input", "")


def test_pipes(image):
    process = image.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=PIPE)
    process.stdin.write(b"through")
    process.stdin.close()
    process.wait()
    assert process.stdout.read() == b"through"
    assert process.stderr.read() == b""


def test_output(image):
    collected = BytesIO()
    process = image.popen("echo out; echo err >&2", shell=True, stdout=collected, stderr=bytes)
    process.wait()
    assert (collected.getvalue(), process.stderr) == (b"out\n", b"err\n")
    process = image.popen(["echo", "text"], text=True)
    process.wait()
    assert process.stdout == "text\n"


def test_a_failure_can_be_an_error(image):
    process = image.popen("echo out; echo err >&2; exit 4", shell=True, check=True)
    with pytest.raises(CalledProcessError) as raised:
        process.wait()
    assert (raised.value.returncode, raised.value.output, raised.value.stderr) == (
        4, "out\n", "err\n",
    )  # fmt: skip
    process = image.popen(["true"], check=True)
    process.wait()
    assert process.returncode == 0


def test_communicating_tells_no_failure(image):
    process = image.popen("echo out; exit 4", shell=True, check=True)
    assert process.communicate() == ("out\n", "")
    assert process.returncode == 4
