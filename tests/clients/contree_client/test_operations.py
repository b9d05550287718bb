"""Operations while they live, and afterwards."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from contree_client import (
    ACTIVE_STATUSES,
    ClosableStreamRepr,
    ConflictError,
    NotFoundError,
    OperationStatus,
)
from runs import run

HELD = ClosableStreamRepr(value="", close=False)


@pytest.fixture
def held(client, debian):
    """A run that echoes lines and ends when told to."""
    operation = client.spawn_instance("cat", debian, stdin=HELD, disposable=True, timeout=60).uuid
    yield operation
    if not client.operation_terminal(operation):
        client.cancel_operation(operation)


def wait_for(client, operation, kind):
    """Waits until the operation's log has an event of this kind, and returns it."""
    for event in client.iter_operation_events(operation, follow=True):
        if event.type == kind:
            return event
    raise AssertionError(f"no event {kind}")


def test_a_running_operation_shows_what_it_has_said(client, held):
    wait_for(client, held, "spawn")
    client.operation_subprocess_stdin(held, 1, "so far\n", close=False)
    wait_for(client, held, "stdout")
    plain = client.get_operation_status(held)
    assert plain.status in ACTIVE_STATUSES
    assert plain.duration >= 0
    assert client.operation_terminal(held) is False
    inflight = client.get_operation_status(held, inflight=True)
    assert inflight.metadata.result.stdout.as_text() == "so far\n"
    assert inflight.metadata.result.state.exit_code == -1
    client.operation_subprocess_stdin(held, 1, "", close=True)
    done = client.wait_operation(held, timeout=60)
    assert done.metadata.result.stdout.as_text() == "so far\n"
    assert client.get_operation_status(held, inflight=True) == done
    assert client.operation_terminal(held) is True


def test_waiting_ends_in_time(client, held):
    for follow in (None, True, False):
        with pytest.raises(TimeoutError):
            client.wait_operation(held, timeout=0.2, follow_events=follow)
    assert client.get_operation_status(held).status in ACTIVE_STATUSES


@pytest.mark.parametrize("follow", [True, False])
def test_waiting_by_events_and_by_asking(client, debian, follow):
    operation = client.spawn_instance("true", debian, disposable=True).uuid
    done = client.wait_operation(operation, timeout=60, follow_events=follow)
    assert done.status == OperationStatus.SUCCESS
    assert client.wait_operation(operation, timeout=60, follow_events=follow) == done
    assert client.wait_operation(operation) == done


def test_a_running_operation_is_cancelled(client, held):
    wait_for(client, held, "spawn")
    assert client.cancel_operation(held) is None
    done = client.wait_operation(held, timeout=60)
    assert done.status == OperationStatus.CANCELLED
    assert done.result_image_uuid is None
    # A client that lost the answer asks again.
    with pytest.raises(ConflictError):
        client.cancel_operation(held)


def test_an_operation_is_cancelled_right_after_it_was_accepted(client, debian):
    operation = client.spawn_instance("sleep", debian, args=["60"]).uuid
    client.cancel_operation(operation)
    assert client.wait_operation(operation, timeout=60).status == OperationStatus.CANCELLED


def test_an_ended_operation_cannot_be_cancelled(client, debian):
    done = run(client, "true", debian)
    with pytest.raises(ConflictError):
        client.cancel_operation(done.uuid)
    assert client.get_operation_status(done.uuid) == done


def test_an_operation_that_is_not_there(client):
    absent = str(uuid4())
    for call in (
        lambda: client.get_operation_status(absent),
        lambda: client.cancel_operation(absent),
        lambda: client.wait_operation(absent, timeout=5),
        lambda: client.operation_terminal(absent),
        lambda: list(client.iter_operation_events(absent)),
        lambda: client.operation_subprocess(absent, 1),
        lambda: client.operation_subprocess_create(absent, "true"),
        lambda: client.operation_subprocess_kill(absent, 1),
        lambda: client.operation_subprocess_stdin(absent, 1, ""),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_the_list_is_filtered(client, debian):
    failed = client.spawn_instance("no-such-command", debian).uuid
    client.wait_operation(failed, timeout=60)
    done = run(client, "true", debian)

    newest = client.list_operations(limit=2)
    assert [operation.uuid for operation in newest] == [done.uuid, failed]
    assert (newest[0].kind, newest[0].status, newest[0].image_uuid) == (
        "instance", OperationStatus.SUCCESS, debian,
    )  # fmt: skip
    assert newest[0].duration == done.duration
    assert newest[1].error

    def uuids(**filters):
        return [operation.uuid for operation in client.list_operations(**filters)]

    assert uuids(status=OperationStatus.FAILED, limit=1) == [failed]
    assert uuids(status="SUCCESS", limit=1) == [done.uuid]
    imports = client.list_operations(kind="image_import")
    assert imports and all(operation.kind == "image_import" for operation in imports)
    assert uuids(kind="instance", limit=1) == [done.uuid]
    assert done.uuid in uuids(since="1h") and done.uuid not in uuids(until="1h")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert uuids(since=tomorrow) == []
    assert uuids(until=tomorrow, limit=1) == [done.uuid]


def test_the_list_is_paged(client, debian):
    for _ in range(3):
        run(client, "true", debian)
    three = list(client.iter_operations(limit=3))
    assert len(three) == 3
    assert list(client.iter_operations(limit=3, page_size=1)) == three
    assert list(client.iter_operations(limit=3, page_size=2)) == three
    assert client.list_operations(limit=2, offset=1) == three[1:]


def test_whoami(client):
    me = client.whoami()
    assert me.token_uuid
    assert me.token_expiration is None or me.token_expiration > 1_700_000_000
    assert set(me.permissions) >= {
        "import", "spawn", "spawn_disposable", "list", "cancel", "set_image_tag",
    }  # fmt: skip
    assert all(me.permissions.values())
    assert isinstance(me.operations_stat, dict)
