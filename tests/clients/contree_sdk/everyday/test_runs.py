"""Runs: every parameter, and what the result says."""

import copy
import pickle
from dataclasses import asdict
from datetime import timedelta

import pytest
from contree_sdk.sdk.exceptions import ContreeImageStateError, DisposableImageRunError
from contree_sdk.sdk.objects.image_like.state import ImageState

from conftest import DEBIAN


def test_a_program_and_its_arguments(sdk, debian):
    done = sdk.done(debian.run("/bin/echo", args=["two words", "$HOME"]))
    assert done.stdout == "two words $HOME\n"
    # Without a path it is looked up.
    assert sdk.done(debian.run("echo", args=("found",))).stdout == "found\n"


def test_a_line_for_the_shell(sdk, debian):
    done = sdk.done(debian.run(shell="echo $((6 * 7)) | tr 4 5; echo bad >&2; exit 9"))
    assert (done.stdout, done.stderr, done.exit_code) == ("52\n", "bad\n", 9)


def test_the_result(sdk, debian):
    done = sdk.done(debian.run("true"))
    result = done.result
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert result.truncated is False
    assert result.cost == 0
    assert timedelta(0) < result.elapsed_time < timedelta(minutes=1)
    assert done.elapsed == result.elapsed_time
    assert done.state == ImageState.SUCCEEDED
    assert "exit_code=0" in repr(done)
    with pytest.raises(ContreeImageStateError):
        _ = debian.result


def test_results_can_be_kept_and_copied(sdk, debian):
    result = sdk.done(debian.run(shell="printf 'one\\ntwo'; exit 3", truncate_output_at=5)).result
    for again in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
        assert again == result
        assert (again.stdout, again.exit_code, again.truncated) == ("one\nt", 3, True)
    fields = asdict(result)
    assert (fields["stdout"], fields["elapsed_time"]) == ("one\nt", result.elapsed_time)


def test_the_place_and_the_environment(sdk, debian):
    done = sdk.done(
        debian.run(
            shell="pwd; hostname; echo $GREETING",
            cwd="/made/here",
            hostname="a-name",
            env={"GREETING": "hi"},
        )  # fmt: skip
    )
    assert done.stdout.split() == ["/made/here", "a-name", "hi"]
    assert sdk.done(debian.run("hostname")).stdout == "hostname\n"


def test_the_environment_may_be_preserved(sdk, debian):
    kept = sdk.done(
        debian.run("true", env={"MY_OWN": "value"}, preserve_env=True, disposable=False)
    )
    assert sdk.done(kept.run("/bin/printenv", args=["MY_OWN"])).stdout == "value\n"
    lost = sdk.done(debian.run("true", env={"MY_OWN": "value"}, disposable=False))
    assert sdk.done(lost.run("/bin/printenv", args=["MY_OWN"])).exit_code == 1


def test_a_command_that_takes_too_long(open_sdk):
    # Asked late, as the published package itself waits no longer than the command may take, three
    # whole seconds: it asks at once, and then seconds after the command's end.
    sdk = open_sdk(operation_poll_secs_min=8, operation_poll_secs_max=8)
    session = sdk.of(sdk.client.images.use(DEBIAN)).session()
    script, timeout = "echo begun | tee /begun; sleep 30", timedelta(milliseconds=2400)
    done = sdk.done(session.run(shell=script, disposable=False, timeout=timeout))
    assert (done.exit_code, done.stdout) == (-1, "begun\n")
    # The session goes on with what was written.
    assert sdk.of(session.read("/begun")) == b"begun\n"


def test_output_is_cut_where_asked(sdk, debian):
    done = sdk.done(debian.run(shell="seq 1000", truncate_output_at=6))
    assert done.stdout == "1\n2\n3\n"
    assert done.result.truncated is True
    whole = sdk.done(debian.run(shell="seq 200000", truncate_output_at=10 * 1024 * 1024))
    assert whole.stdout.split()[-1] == "200000"
    assert whole.result.truncated is False


def test_a_disposable_run_leaves_nothing(sdk, debian):
    done = sdk.done(debian.run(shell="echo > /new"))
    assert (done.uuid, done.tag) == (None, None)
    with pytest.raises(DisposableImageRunError):
        done.run("true")


def test_a_run_that_changes_nothing_has_the_same_image(sdk, debian):
    assert sdk.done(debian.run("true", disposable=False)).uuid == debian.uuid


def test_a_run_by_tag_alone(sdk):
    image = sdk.of(sdk.client.images.use(DEBIAN))
    assert image.uuid is None
    assert sdk.done(image.run("echo", args=["by tag"])).stdout == "by tag\n"


def test_the_image_that_was_run_stays_as_it_was(sdk, debian):
    before = debian.uuid
    one = sdk.done(debian.run(shell="echo 1 > /one", disposable=False))
    assert (debian.uuid, debian.state) == (before, ImageState.PULLED)
    two = sdk.done(debian.run(shell="cat /one", disposable=False))
    assert two.exit_code != 0 and one.uuid != before


def test_branches_from_any_state(sdk, debian):
    trunk = sdk.done(debian.run(shell="echo trunk > /path", disposable=False))
    left = sdk.done(trunk.run(shell="echo left >> /path", disposable=False))
    right = sdk.done(trunk.run(shell="echo right >> /path", disposable=False))
    further = sdk.done(left.run(shell="echo further >> /path", disposable=False))
    paths = [
        sdk.done(at.run("cat", args=["/path"])).stdout.split()
        for at in (trunk, left, right, further)
    ]
    assert paths == [
        ["trunk"], ["trunk", "left"], ["trunk", "right"], ["trunk", "left", "further"],
    ]  # fmt: skip
    assert len({trunk.uuid, left.uuid, right.uuid, further.uuid}) == 4


def test_a_run_without_a_command(debian):
    with pytest.raises(ValueError, match="command"):
        debian.run()
