"""Imports from a registry that asks for a password."""

import os

import pytest

from contree_client import (
    BadRequestError,
    ImageImportRegistry,
    ImageImportRegistryCredentials,
    OperationStatus,
)
from runs import run, stdout

REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]
USER = os.environ["CONTREE_TEST_REGISTRY_USER"]
PASSWORD = os.environ["CONTREE_TEST_REGISTRY_PASSWORD"]


def registry(password: str = PASSWORD, name: str = "team/tiny:1") -> ImageImportRegistry:
    credentials = ImageImportRegistryCredentials(username=USER, password=password)
    return ImageImportRegistry(url=f"docker://{REGISTRY}/{name}", credentials=credentials)


def test_an_import_from_request_to_image(client, unique):
    tag = unique("imported")
    operation = client.import_image(registry(), tag=tag, timeout=120)
    done = client.wait_operation(operation, timeout=60)
    assert (done.kind, done.status, done.error) == ("image_import", OperationStatus.SUCCESS, None)
    assert (done.result.tag, done.result.image) == (tag, done.result_image_uuid)
    assert (done.metadata.tag, done.metadata.timeout) == (tag, 120)
    assert done.metadata.registry.url == registry().url
    # Its password is nobody's business any more.
    assert done.metadata.registry.credentials.password == "<MASKED>"
    assert client.resolve_image(tag) == done.result.image
    # The image's own environment came along.
    printed = run(client, "printenv", done.result.image, args=["FLAVOUR"], disposable=True)
    assert stdout(printed) == "sour\n"


def test_the_same_content_is_the_same_image(client):
    # Neither a tag nor a timeout has to be given.
    images = set()
    for _ in range(2):
        done = client.wait_operation(client.import_image(registry()), timeout=60)
        assert (done.result.tag, done.metadata.timeout) == (None, 300)
        images.add(done.result.image)
    assert len(images) == 1


@pytest.mark.parametrize(
    "source",
    [
        registry(password="wrong"),
        registry(name="no/such:image"),
        ImageImportRegistry(url=registry().url),
        ImageImportRegistry(url="docker://127.0.0.1:1/not/allowed:1"),
    ],
    ids=["wrong-password", "absent", "no-password", "not-allowed"],
)
def test_an_import_that_fails(any_client, source):
    done = any_client.wait_operation(any_client.import_image(source), timeout=60)
    assert done.status == OperationStatus.FAILED
    assert done.error
    assert done.result_image_uuid is None
    events = list(any_client.iter_operation_events(done.uuid))
    assert events[-1].type == "completion"
    assert events[-1].data.error == done.error


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"registry": ImageImportRegistry(url="ftp://example.com/a")}, "url"),
        ({"registry": ImageImportRegistry(url="")}, "url"),
        ({"registry": registry(), "tag": "not a tag"}, "tag"),
        ({"registry": registry(), "timeout": 0}, "timeout"),
        ({"registry": registry(), "timeout": 100_000}, "timeout"),
    ],
)
def test_a_bad_field_is_named(any_client, fields, name):
    with pytest.raises(BadRequestError) as raised:
        any_client.import_image(**fields)
    assert name in raised.value.error
