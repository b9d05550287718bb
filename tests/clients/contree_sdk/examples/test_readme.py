"""What the published package shows in its own description, as it is, with either package.

The blocks are taken from the package that is installed. Their token is the name of an environment
variable here, which the package looks up; their local files are in a folder of the test's own.
"""

import re
import subprocess

import pytest
from contree_sdk.auth import JWTAuth
from contree_sdk.config import ContreeConfig

from conftest import TOKEN, URL
from contree_sdk import ContreeSync
from runner import PYTHONS, REGISTRY, run

DESCRIPTION = subprocess.run(
    [
        PYTHONS["published"],
        "-c",
        "from importlib.metadata import metadata; m = metadata('contree-sdk');"
        "print(m.get_payload() or m['Description'])",
    ],
    capture_output=True,
    text=True,
    check=True,
).stdout
BLOCKS = dict(
    (name, block)
    for name, block in re.findall(
        r"```python [^\n]*fixture:name:test_(\w+)[^\n]*\n(.*?)```", DESCRIPTION, re.DOTALL
    )
)

# How each ends. It goes on from disposable runs, or takes a line for the shell for a program, where
# it ends with an error; with either package the same.
ENDS = {
    "quick_start_async_simple": None,
    "quick_start_sync_simple": None,
    "quick_start_async": "DisposableImageRunError",
    "quick_start_sync": "DisposableImageRunError",
    "sessions_versioning": "DisposableImageRunError",
    "popen_communicate": None,
    "popen_shell": None,
    "stable_image_uuid": "FailedOperationError",
    "async_sync_clients": None,
    "client_config": None,
    "objects_reusing": None,
    "file_upload": None,
}

# What some blocks find already there.
BEFORE = """\
from contree_sdk import ContreeSync
image = ContreeSync(token="fake-token").images.use("ubuntu:latest")
session = image.session()
"""


@pytest.fixture(scope="module", autouse=True)
def images():
    """What the blocks mean from Docker Hub, which is not asked when it is here already."""
    client = ContreeSync(ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=URL)))
    for tag in ("ubuntu:latest", "busybox:latest"):
        client.images.import_from(f"docker://{REGISTRY}/team/tiny:1", tag=tag)


def test_all_blocks_are_known():
    assert set(BLOCKS) == set(ENDS)


@pytest.mark.parametrize("name", ENDS)
def test_a_block_of_the_description(name, tmp_path):
    local = tmp_path / "local"
    local.mkdir()
    (local / "app.sh").write_text('#!/bin/sh\necho "$@"; cat; wc -l < /data.csv\n')
    (local / "data_ver1.csv").write_text("a\nb\n")
    (local / "app").write_text("#!/bin/sh\necho result > /result.txt\n")
    (local / "file.txt").write_text("a file\n")
    block = BLOCKS[name].replace("/local/files", str(local)).replace("/some/local", str(local))
    if "asyncio" not in block and "ContreeSync" not in block:
        block = BEFORE + block

    ends = {}
    for package in PYTHONS:
        with_token = {"fake-token": TOKEN, "my-token": TOKEN}
        done = run(package, tmp_path, "-c", block, **with_token)
        last = done.stderr.strip().splitlines()[-1:]
        error = re.match(r"(?:[\w]+\.)*(\w+)", last[0])[1] if done.returncode and last else None
        assert error == ENDS[name], (package, done.stdout, done.stderr)
        ends[package] = done.stdout
    assert ends["published"] == ends["ours"]
