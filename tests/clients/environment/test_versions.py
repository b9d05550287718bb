"""The published clients are there, in the versions that users have."""

import json
import os
import urllib.request
from importlib.metadata import version

import pytest


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("contree-client", "0.4.4"),
        ("contree-sdk", "0.3.6"),
        ("contree-cli", "0.9.4"),
        ("contree-mcp", "0.5.0"),
    ],
)
def test_the_package_is_the_pinned_one(package, expected):
    assert version(package) == expected


def test_the_server_has_the_debian_image():
    request = urllib.request.Request(
        os.environ["CONTREE_TEST_URL"] + "/v1/images?tag=debian",
        headers={"Authorization": "Bearer " + os.environ["CONTREE_TEST_TOKEN"]},
    )
    with urllib.request.urlopen(request) as answer:
        images = json.load(answer)["images"]
    assert [image["tag"] for image in images] == ["debian:bookworm"]
