"""`run`, and the tools for operations."""

import json
import uuid

from agent import DEBIAN


def test_a_run_is_told_in_full(agent):
    result = agent.run("echo out; echo err >&2; exit 3")
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("out\n", "err\n", 3)
    assert result["kind"] == "instance" and result["timed_out"] is False
    # It is disposable unless told otherwise.
    assert result["result"]["image"] is None and result["result_image_uuid"] is None
    assert result["consumed_memory"] > 0 and result["duration"] > 0
    assert agent("get_operation", operation_id=result["uuid"]) == result


def test_states_are_chained_by_their_images(agent):
    first = agent.run("mkdir /work && echo 1 > /work/n", disposable=False)["result_image_uuid"]
    second = agent.run("echo 2 >> n; cat n", first, cwd="/work", disposable=False)
    assert second["stdout"] == "1\n2\n" and second["image_uuid"] == first
    # The first is as it was.
    assert agent.run("cat /work/n", first)["stdout"] == "1\n"

    lineage = json.loads(agent.read(f"contree://image/{second['result_image_uuid']}/lineage"))
    assert lineage["parent"] == first and lineage["ancestors"] == [first]
    assert lineage["depth"] == 1 and lineage["is_known"]
    assert lineage["data"]["operation_id"] == second["uuid"]
    lineage = json.loads(agent.read(f"contree://image/{first}/lineage"))
    assert lineage["children"] == [second["result_image_uuid"]]


def test_how_a_command_is_given(agent):
    result = agent.run("cat; id -u; id -g; pwd; echo $WORD", stdin="in ä\n", uid=12, gid=34,
                       cwd="/tmp/made", env={"WORD": "set"})  # fmt: skip
    assert result["stdout"] == "in ä\n12\n34\n/tmp/made\nset\n"
    # Without a shell the command is the program, all of it.
    assert agent.run("/bin/pwd", shell=False)["stdout"] == "/\n"
    result = agent("run", command="echo a b", image=DEBIAN, shell=False)
    assert result["status"] == "FAILED" and "echo a b" in result["error"]


def test_variables_are_kept_and_taken_out_of_the_image(agent):
    kept = agent.run("true", env={"A": "1", "B": "2"}, preserve_env=True, disposable=False)
    image = kept["result_image_uuid"]
    assert agent.run("echo $A$B", image)["stdout"] == "12\n"
    less = agent.run("true", image, env={"A": None}, preserve_env=True, disposable=False)
    assert agent.run("echo -$A$B", less["result_image_uuid"])["stdout"] == "-2\n"


def test_limits_of_a_run(agent):
    late = agent.run("echo early; sleep 60", timeout=3, disposable=False)
    assert late["timed_out"] is True and late["exit_code"] == -1 and late["stdout"] == "early\n"
    assert late["result_image_uuid"]
    assert len(agent.run("seq 100000", truncate_output_at=50)["stdout"]) == 50
    big = agent("run", command="head -c 3000000 /dev/zero > /big", image=DEBIAN, disposable=False,
                max_layer_bytes=1_000_000)  # fmt: skip
    assert big["status"] == "FAILED" and big["result_image_uuid"] is None and big["error"]
    assert "timeout" in agent.refused("run", command="true", image=DEBIAN, timeout=100_000)


def test_what_is_not_there(agent):
    absent = str(uuid.uuid4())
    assert "404" in agent.refused("run", command="true", image="tag:no-such")
    assert "404" in agent.refused("run", command="true", image=absent)
    assert "404" in agent.refused("get_operation", operation_id=absent)
    assert "404" in agent.refused("cancel_operation", operation_id=absent)
    result = agent("run", command="no-such-program", image=DEBIAN, shell=False)
    assert result["status"] == "FAILED" and result["error"].startswith("spawn failed")


def test_several_operations_are_awaited(agent):
    operations = [agent.started_run(f"echo {n}; exit {n}") for n in range(3)]
    done = agent("wait_operations", operation_ids=operations)
    assert set(done["completed"]) == set(operations) and done["cancelled"] == []
    ends = [(done["results"][op]["stdout"], done["results"][op]["exit_code"]) for op in operations]
    assert ends == [("0\n", 0), ("1\n", 1), ("2\n", 2)]


def test_the_first_of_several_wins(agent, api):
    slow = [agent.started_run("sleep 600") for _ in range(2)]
    quick = agent.started_run("echo first")
    done = agent("wait_operations", operation_ids=[*slow, quick], mode="any")
    assert done["completed"] == [quick] and set(done["cancelled"]) == set(slow)
    assert [api.wait_operation(op, timeout=40).status for op in slow] == ["CANCELLED"] * 2


def test_an_operation_is_cancelled(agent):
    operation = agent.started_run("sleep 600")
    running = agent("list_operations", type="instance", since="1h")["operations"]
    assert operation in {op["uuid"] for op in running}
    cancelled = {"cancelled": True, "operation_id": operation}
    assert agent("cancel_operation", operation_id=operation) == cancelled
    done = agent("wait_operations", operation_ids=[operation])
    assert done["results"][operation]["status"] == "CANCELLED"
    assert agent("cancel_operation", operation_id=operation) == cancelled
    listed = agent("list_operations", status="CANCELLED", limit=1)["operations"]
    assert [op["uuid"] for op in listed] == [operation]
    # One that has ended by itself is not cancelled any more.
    ended = agent.run("true")["uuid"]
    assert agent("cancel_operation", operation_id=ended)["cancelled"] is False


def test_a_run_is_a_resource(agent):
    result = agent.run("echo kept; exit 4", disposable=False)
    told = json.loads(agent.read(f"contree://operations/instance/{result['uuid']}"))
    assert told["state"] == "SUCCESS" and told["exit_code"] == 4 and told["stdout"] == "kept\n"
    assert told["result_image"] == result["result_image_uuid"]
    assert told["resources"]["max_rss"] > 0
