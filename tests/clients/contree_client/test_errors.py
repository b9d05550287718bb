"""Every refusal arrives as the exception that is meant for it."""

from uuid import uuid4

import pytest

from contree_client import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    UnprocessableEntityError,
)
from refusals import raised_by
from runs import run


def test_bad_requests(client, debian):
    for call in (
        lambda: client.get_operation_status("not-a-uuid"),
        lambda: client.list_images(limit=0),
        lambda: client.list_images(limit=1001),
        lambda: client.list_images(offset=-1),
        lambda: client.list_images(since="yesterday"),
        lambda: client.list_images(tag="a::b"),
        lambda: client.list_operations(status="RUNNING"),
        lambda: client.list_files(until="5 parsecs"),
        lambda: client.update_image_tag(debian, "with space"),
        lambda: client.update_image_tag(debian, "a" * 257),
        lambda: client.spawn_instance("true", debian, timeout=-1),
        lambda: client.spawn_instance("", debian, shell=True),
    ):
        raised_by(BadRequestError, 400, call)


def test_a_token_that_nobody_has(connect, debian):
    for token in ("nonsense", "contree_" + "x" * 43):
        client = connect(token)
        for call in (
            client.whoami,
            client.list_images,
            lambda client=client: client.spawn_instance("true", debian),
            lambda client=client: client.upload_file(b"content"),
            lambda client=client: list(client.iter_operation_events(str(uuid4()))),
        ):
            raised_by(AuthenticationError, 401, call)


def test_conflicts(client, debian):
    done = run(client, "true", debian)
    for call in (
        lambda: client.cancel_operation(done.uuid),
        lambda: client.operation_subprocess_create(done.uuid, "true"),
        lambda: client.operation_subprocess_kill(done.uuid, 1),
    ):
        raised_by(ConflictError, 409, call)


def test_the_wrong_kind_of_path(client, debian):
    for call in (
        lambda: client.inspect_image_download(debian, "/etc"),
        lambda: client.inspect_image_list(debian, "/etc/passwd"),
    ):
        raised_by(UnprocessableEntityError, 422, call)


def test_a_server_that_is_not_there(connect):
    client = connect(base_url="http://127.0.0.1:1")
    with pytest.raises(APIConnectionError):
        client.whoami()
