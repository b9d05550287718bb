"""Tokens that may do little, and projects that know nothing of each other."""

import time
from uuid import uuid4

from contree_client import (
    AuthenticationError,
    ImageImportRegistry,
    NotFoundError,
    PermissionDeniedError,
)
from refusals import raised_by
from runs import run
from tokens import make_project, make_token


def test_what_a_token_may_not_do(connect, any_client, unique):
    project = make_project(unique("project"))
    reader = connect(make_token(project, permissions=["list"]))
    me = reader.whoami()
    assert {name for name, granted in me.permissions.items() if granted} == {"list"}
    assert reader.list_images().images is not None
    absent = str(uuid4())
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
