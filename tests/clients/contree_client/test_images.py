"""Images and their tags."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest

from contree_client import ImageImportRegistry, NotFoundError
from runs import run


def uuids(images):
    return [image.uuid for image in images]


def test_an_image_is_listed_with_everything_the_contract_says(client, debian):
    (image,) = client.list_images(tag="debian:bookworm").images
    assert (image.uuid, image.tag) == (debian, "debian:bookworm")
    assert datetime.fromisoformat(image.created_at).tzinfo is not None
    assert client.inspect_image(debian) == image


def test_filters_of_the_list(client, debian):
    assert debian in uuids(client.list_images(limit=1000).images)
    assert all(image.tag for image in client.list_images(tagged=True, limit=1000).images)
    assert uuids(client.list_images(tag="debian").images) == [debian]
    assert uuids(client.list_images(uuid=debian).images) == [debian]
    assert client.list_images(uuid=str(uuid4())).images == []
    assert client.list_images(tag="no-such-prefix").images == []


@pytest.mark.parametrize(
    "moment",
    [
        "1d",
        datetime.now(UTC) - timedelta(days=1),
        datetime.now(timezone(timedelta(hours=2))) - timedelta(days=1),
        1_600_000_000,
        1_600_000_000.5,
    ],
    ids=["interval", "utc", "offset", "unix", "fraction"],
)
def test_since_and_until_take_every_form(client, debian, moment):
    assert debian in uuids(client.iter_images(since=moment))
    assert debian not in uuids(client.iter_images(until=moment))


def test_tags_are_moved_and_removed(client, debian, tree, unique):
    first, second = unique("tag"), f"{unique('tag')}/with:parts.v1"
    tagged = client.update_image_tag(tree.image, first)
    assert (tagged.uuid, tagged.tag) == (tree.image, first)
    client.update_image_tag(tree.image, second)
    assert client.inspect_find_image_by_tag(first) == tree.image
    assert client.inspect_find_image_by_tag(second) == tree.image
    assert uuids(client.list_images(tag=second).images) == [tree.image]

    client.update_image_tag(debian, first)
    assert client.inspect_find_image_by_tag(first) == debian
    assert client.delete_image_tag(debian, tag=first) is None
    with pytest.raises(NotFoundError):
        client.inspect_find_image_by_tag(first)
    client.delete_image_tag(tree.image)
    with pytest.raises(NotFoundError):
        client.inspect_find_image_by_tag(second)
    assert client.inspect_find_image_by_tag("debian:bookworm") == debian


def test_references_resolve(client, debian):
    assert client.resolve_image("tag:debian:bookworm") == debian
    assert client.resolve_image("debian:bookworm") == debian
    assert client.resolve_image(debian) == debian
    for absent in ("tag:nothing:here", "nothing:here"):
        with pytest.raises(NotFoundError):
            client.resolve_image(absent)


def test_an_image_that_is_not_there(client):
    absent = str(uuid4())
    for call in (
        lambda: client.inspect_image(absent),
        lambda: client.update_image_tag(absent, "some:tag"),
        lambda: client.delete_image_tag(absent),
        lambda: client.delete_image_tag(absent, tag="some:tag"),
    ):
        with pytest.raises(NotFoundError) as raised:
            call()
        assert raised.value.status == 404
        assert isinstance(raised.value.error, str)


def test_small_pages_give_the_whole_list(client, debian, unique):
    tags = sorted(unique("page") for _ in range(3))
    for tag in tags:
        client.update_image_tag(debian, tag)
    whole = list(client.iter_images(tag="page-"))
    assert {image.tag for image in whole} >= set(tags)
    assert list(client.iter_images(tag="page-", page_size=2)) == whole
    assert list(client.iter_images(tag="page-", page_size=2, limit=3)) == whole[:3]
    assert client.list_images(tag="page-", limit=1, offset=1).images == whole[1:2]
    for tag in tags:
        client.delete_image_tag(debian, tag=tag)


def test_a_run_adds_the_newest_image(any_client, debian):
    made = run(any_client, "touch", debian, args=["/a-new-file"]).result.image
    assert made != debian
    newest = any_client.list_images(limit=1).images[0]
    assert newest.uuid == made
    assert any_client.inspect_image(made).operation_uuid is not None


def test_an_import_of_an_upload(any_client, debian):
    """The server's own kind of reference, through the published client."""
    image = any_client.inspect_image(debian)
    operation = any_client.get_operation_status(image.operation_uuid)
    assert operation.kind == "image_import"
    assert operation.result.image == debian
    again = any_client.import_image(
        ImageImportRegistry(url=operation.metadata.registry.url), timeout=60
    )
    assert any_client.wait_operation(again, timeout=60).result.image == debian
