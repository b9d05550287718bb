"""Tags on what runs made."""

import pytest
from contree_sdk.sdk.exceptions import ApiStatusCodeError, NotFoundError


def test_an_image_is_tagged_and_untagged(sdk, debian, unique):
    made = sdk.done(debian.run(shell="echo > /new", disposable=False))
    tag = f"{unique('team/project')}:v1.0"
    tagged = sdk.of(made.tag_as(tag))
    assert (tagged.uuid, tagged.tag, made.tag) == (made.uuid, tag, None)
    found = sdk.of(sdk.client.images.use(tag, strict=True))
    assert (found.uuid, found.tag) == (made.uuid, tag)
    # The result of the run is still there.
    assert tagged.exit_code == 0

    untagged = sdk.of(tagged.untag())
    assert (untagged.uuid, untagged.tag) == (made.uuid, None)
    with pytest.raises(NotFoundError):
        sdk.of(sdk.client.images.use(tag, strict=True))


def test_no_tag_is_also_a_tag(sdk, debian, unique):
    made = sdk.done(debian.run(shell="echo > /new", disposable=False))
    tagged = sdk.of(made.tag_as(unique("tag")))
    assert sdk.of(tagged.tag_as(None)).tag is None
    with pytest.raises(NotFoundError):
        sdk.of(sdk.client.images.use(tagged.tag, strict=True))


def test_a_run_tags_its_image(sdk, debian, unique):
    tag = unique("on-run")
    made = sdk.done(debian.run(shell="echo found > /new", disposable=False, tag=tag))
    assert made.tag == tag
    by_tag = sdk.of(sdk.client.images.use(tag))
    assert sdk.done(by_tag.run("cat", args=["/new"])).stdout == "found\n"


def test_a_tag_moves(sdk, debian, unique):
    tag = unique("moving")
    first = sdk.done(debian.run(shell="echo 1 > /new", disposable=False, tag=tag))
    second = sdk.done(first.run(shell="echo 2 > /new", disposable=False, tag=tag))
    assert first.uuid != second.uuid
    assert sdk.of(sdk.client.images.use(tag, strict=True)).uuid == second.uuid


def test_what_cannot_be_tagged(sdk, debian, unique):
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.of(debian.tag_as("not a tag"))
    assert raised.value.status == 400
    assert "tag" in raised.value.error
    # A disposable run has no image.
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.done(debian.run("true", tag=unique("nothing")))
    assert raised.value.status in (400, 404)
