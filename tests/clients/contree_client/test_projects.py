"""Tokens that may do little, and projects that know nothing of each other."""

import time

from contree_client import (
    AuthenticationError,
    ImageImportRegistry,
    NotFoundError,
    PermissionDeniedError,
)
from refusals import raised_by
from runs import run
from tokens import make_project, make_token


def test_what_a_token_may_not_do(connect, any_client, debian):
    done = run(any_client, "true", debian)
    reader = connect(make_token("default", permissions=["list"]))
    me = reader.whoami()
    assert {name for name, granted in me.permissions.items() if granted} == {"list"}
    assert reader.inspect_image(debian).uuid == debian
    assert reader.get_operation_status(done.uuid) == done
    assert list(reader.iter_operation_events(done.uuid))[-1].type == "completion"
    registry = ImageImportRegistry(url="docker://docker.io/library/busybox")
    for call in (
        lambda: reader.spawn_instance("true", debian),
        lambda: reader.spawn_instance("true", debian, disposable=True),
        lambda: reader.import_image(registry),
        lambda: reader.cancel_operation(done.uuid),
        lambda: reader.update_image_tag(debian, "a:tag"),
        lambda: reader.delete_image_tag(debian),
        lambda: reader.operation_subprocess_create(done.uuid, "true"),
        lambda: list(reader.iter_operation_events(done.uuid, follow=True)),
    ):
        raised_by(PermissionDeniedError, 403, call)


def test_disposable_runs_may_be_all_that_is_allowed(connect, debian):
    client = connect(make_token("default", permissions=["list", "spawn_disposable"]))
    run(client, "true", debian, disposable=True)
    raised_by(PermissionDeniedError, 403, lambda: client.spawn_instance("true", debian))


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


def test_a_token_of_all_projects_names_one_by_its_header(connect, unique):
    one, other = make_project(unique("project")), make_project(unique("project"))
    token = make_token(all_projects=True)
    raised_by(AuthenticationError, 401, connect(token).list_files)
    raised_by(PermissionDeniedError, 403, connect(token, project=unique("absent")).list_files)
    uploaded = connect(token, project=one).upload_file(unique("content").encode())
    assert connect(token, project=one).check_file_exists(uploaded.sha256) is True
    assert connect(token, project=other).check_file_exists(uploaded.sha256) is False
    assert connect(make_token(one)).get_file(uploaded.sha256).uuid == uploaded.uuid


def test_a_token_that_ends(connect, unique):
    project = make_project(unique("project"))
    me = connect(make_token(project, expires_in=3600)).whoami()
    assert 0 < me.token_expiration - time.time() <= 3600
