"""Finding images and importing them."""

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from contree_sdk.sdk.exceptions import ApiStatusCodeError, FailedOperationError, NotFoundError
from contree_sdk.utils.models.image import ImageKind
from contree_sdk.utils.oci import OCIReference

from conftest import DEBIAN

# Host and port of a registry that has `team/tiny:1`, and of one that asks for a password.
REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]
PRIVATE = os.environ["CONTREE_TEST_PRIVATE_REGISTRY"]
USER = os.environ["CONTREE_TEST_REGISTRY_USER"]
PASSWORD = os.environ["CONTREE_TEST_REGISTRY_PASSWORD"]


def test_using_an_image_asks_nobody(sdk):
    image = sdk.of(sdk.client.images.use("never:heard-of"))
    assert (image.uuid, image.tag) == (None, "never:heard-of")
    uuid = uuid4()
    for reference in (uuid, str(uuid)):
        image = sdk.of(sdk.client.images.use(reference))
        assert (image.uuid, image.tag) == (uuid, None)


def test_using_an_image_strictly_looks_it_up(sdk, debian):
    assert isinstance(debian.uuid, UUID)
    assert debian.tag == DEBIAN
    for reference in (debian.uuid, str(debian.uuid), OCIReference.from_oci(DEBIAN)):
        found = sdk.of(sdk.client.images.use(reference, strict=True))
        assert found.uuid == debian.uuid
    for absent in (uuid4(), str(uuid4()), "never:heard-of"):
        with pytest.raises(NotFoundError) as raised:
            sdk.of(sdk.client.images.use(absent, strict=True))
        assert raised.value.status == 404


def test_an_image_is_imported_when_it_is_not_here(sdk, unique):
    reference = f"{REGISTRY}/team/tiny:1"
    image = sdk.of(sdk.client.images.oci(reference))
    assert image.tag == reference
    assert sdk.done(image.run("echo", args=["imported"])).stdout == "imported\n"
    # The image's own environment came along.
    assert sdk.done(image.run("printenv", args=["FLAVOUR"])).stdout == "sweet\n"
    for again in ("docker", "podman", "pull_by_oci", "oci"):
        call = getattr(sdk.client.images, again)
        assert sdk.of(call(reference)).uuid == image.uuid

    tag = unique("tag")
    assert sdk.of(sdk.client.images.oci(reference, tag=tag)).uuid == image.uuid
    assert sdk.of(sdk.client.images.use(tag, strict=True)).uuid == image.uuid


def test_an_image_that_is_here_is_not_imported(sdk, debian):
    # The name would be that of a public image of Docker Hub.
    assert sdk.of(sdk.client.images.oci(DEBIAN)).uuid == debian.uuid
    assert sdk.of(sdk.client.images.oci(debian.uuid)).uuid == debian.uuid
    with pytest.raises(NotFoundError):
        sdk.of(sdk.client.images.oci(uuid4()))


def test_importing_under_another_name(sdk, unique):
    tag = unique("imported")
    image = sdk.of(sdk.client.images.import_from(f"docker://{REGISTRY}/team/tiny:1", tag=tag))
    assert image.tag == tag
    assert sdk.of(sdk.client.images.use(tag, strict=True)).uuid == image.uuid
    with pytest.raises(ValueError, match="UUID"):
        sdk.of(sdk.client.images.import_from(image.uuid))


def test_importing_with_a_password(sdk, unique):
    reference, tag = f"{PRIVATE}/secret:1", unique("private")
    with pytest.raises(ValueError, match="password"):
        sdk.of(sdk.client.images.import_from(reference, username=USER))
    for wrong in ({}, {"username": USER, "password": "wrong"}):
        with pytest.raises(FailedOperationError) as raised:
            sdk.of(sdk.client.images.import_from(reference, tag=tag, **wrong))
        assert raised.value.error
    image = sdk.of(
        sdk.client.images.oci(reference, tag=tag, username=USER, password=PASSWORD, timeout=60)
    )
    assert sdk.done(image.run("echo", args=["in"])).stdout == "in\n"


def test_an_image_that_no_registry_has(sdk):
    with pytest.raises(FailedOperationError) as raised:
        sdk.of(sdk.client.images.oci(f"{REGISTRY}/no/such:image"))
    assert isinstance(raised.value.operation_uuid, UUID)
    # Neither is one that the server may not ask.
    with pytest.raises((FailedOperationError, ApiStatusCodeError), match="allow"):
        sdk.of(sdk.client.images.oci("127.0.0.1:1/tiny:1"))


def test_the_older_way_to_pull(sdk, debian, unique):
    pull = sdk.client.images.pull
    tag = unique("pulled")
    with pytest.warns(DeprecationWarning):
        assert sdk.of(pull(DEBIAN)).uuid == debian.uuid
        assert sdk.of(pull(debian.uuid)).uuid == debian.uuid
        assert sdk.of(pull(str(debian.uuid))).uuid == debian.uuid
        imported = sdk.of(pull(f"docker://{REGISTRY}/team/tiny:1", new_tag=tag))
        assert sdk.of(pull(tag)).uuid == imported.uuid
        with pytest.raises(NotFoundError):
            sdk.of(pull("never:heard-of"))


def test_the_list_and_its_filters(sdk, debian):
    made = sdk.done(debian.run(shell="echo > /new", disposable=False)).uuid

    def uuids(**filters):
        return {image.uuid for image in sdk.of(sdk.client.images(number=None, **filters))}

    everything = uuids()
    assert {made, debian.uuid} <= everything
    tagged = uuids(tagged=True)
    assert debian.uuid in tagged and made not in tagged
    imported = uuids(kind=ImageKind.IMPORTED)
    assert debian.uuid in imported and made not in imported
    assert everything == uuids(kind=ImageKind.INSTANCES)
    assert debian.uuid not in uuids(since=datetime.now(UTC) + timedelta(hours=1))
    assert {made, debian.uuid} <= uuids(since=timedelta(hours=1))
    assert made not in uuids(until=timedelta(hours=1))
    assert made in uuids(until=datetime.now(UTC) + timedelta(hours=1))
    assert made in uuids(since=datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1))


def test_the_list_is_taken_in_batches(open_sdk, unique):
    sdk = open_sdk(images_list_batch_size=2)
    image = sdk.of(sdk.client.images.use(DEBIAN))
    for _ in range(3):
        image = sdk.done(image.run(shell=f"echo {unique('x')} > /new", disposable=False))
    # An image is listed once for each of its tags.
    every = [(image.uuid, image.tag) for image in sdk.items(sdk.client.images)]
    assert len(every) == len(set(every)) >= 4
    assert every[0][0] == image.uuid
    for number, expected in ((None, every), (3, every[:3]), (1, every[:1])):
        listed = sdk.of(sdk.client.images(number=number))
        assert [(image.uuid, image.tag) for image in listed] == expected
