"""Every refusal arrives as the exception that is meant for it."""

from uuid import uuid4

import pytest
from contree_client import (
    APIConnectionError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    UnprocessableEntityError,
)
from runs import run
from tokens import make_project, make_token


def raised_by(error: type[APIStatusError], status: int, call) -> str:
    """Holds a call to raise this error, and returns its text."""
    with pytest.raises(error) as raised:
        call()
    assert raised.value.status == status
    assert raised.value.retry_after is None
    assert isinstance(raised.value.error, str) and raised.value.error
    return raised.value.error


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
        lambda: client.get_file("not-a-digest"),
        lambda: client.update_image_tag(debian, "with space"),
        lambda: client.update_image_tag(debian, "a" * 257),
        lambda: client.spawn_instance("true", debian, timeout=-1),
        lambda: client.spawn_instance("", debian),
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


def test_what_a_token_may_not_do(connect, any_client, unique):
    project = make_project(unique("project"))
    reader = connect(make_token(project, permissions=["list"]))
    me = reader.whoami()
    assert {name for name, granted in me.permissions.items() if granted} == {"list"}
    assert reader.list_images().images is not None
    absent = str(uuid4())
    from contree_client import ImageImportRegistry

    for call in (
        lambda: reader.spawn_instance("true", absent),
        lambda: reader.spawn_instance("true", absent, disposable=True),
        lambda: reader.import_image(ImageImportRegistry(url="docker://docker.io/library/busybox")),
        lambda: reader.cancel_operation(absent),
        lambda: reader.update_image_tag(absent, "a:tag"),
        lambda: reader.delete_image_tag(absent),
        lambda: list(reader.iter_operation_events(absent, follow=True)),
    ):
        raised_by(PermissionDeniedError, 403, call)
    raised_by(NotFoundError, 404, lambda: list(reader.iter_operation_events(absent)))


def test_another_project_sees_nothing(connect, any_client, debian, unique):
    stranger = connect(make_token(make_project(unique("project"))))
    uploaded = any_client.upload_file(unique("content").encode())
    done = run(any_client, "true", debian)
    assert stranger.list_images().images == []
    assert stranger.list_files().files == []
    assert stranger.list_operations() == []
    assert stranger.check_file_exists(uploaded.sha256) is False
    for call in (
        lambda: stranger.inspect_image(debian),
        lambda: stranger.resolve_image("debian:bookworm"),
        lambda: stranger.get_operation_status(done.uuid),
        lambda: stranger.cancel_operation(done.uuid),
        lambda: list(stranger.iter_operation_events(done.uuid)),
        lambda: stranger.operation_subprocess(done.uuid, 1),
        lambda: stranger.get_file(uploaded.sha256),
        lambda: stranger.spawn_instance("true", debian),
        lambda: stranger.update_image_tag(debian, "a:tag"),
    ):
        raised_by(NotFoundError, 404, call)


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
