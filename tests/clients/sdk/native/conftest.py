"""One server for all tests, and programs that use the SDK in processes of their own."""

import json
import os
import subprocess
import sys
import textwrap
import time
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from contree_sdk.auth import JWTAuth
from contree_sdk.config import ContreeConfig

URL = os.environ["CONTREE_TEST_URL"]
TOKEN = os.environ["CONTREE_TEST_TOKEN"]
DEBIAN = "debian:bookworm"

# How long a test waits for what has to happen.
PATIENCE = 60

PREAMBLE = f"""
import asyncio, os, signal, sys, threading
from contree_sdk import Contree, ContreeSync
from contree_sdk.auth import JWTAuth
from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.exceptions import ContreeError

CONFIG = ContreeConfig(auth=JWTAuth(token={TOKEN!r}, base_url={URL!r}))


def image():
    return ContreeSync(CONFIG).images.use({DEBIAN!r})


def long_run(image):
    return image.run("sleep", args=["600"], env={{"MARKER": sys.argv[1]}}, timeout=700)


def echo(image, text):
    return image.run("echo", args=["-n", text]).wait().stdout

"""


@pytest.fixture
def config() -> ContreeConfig:
    return ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=URL))


@pytest.fixture
def marker() -> str:
    """A value that no other run's environment has."""
    return f"marker-{uuid.uuid4().hex}"


def program(text: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts a Python program that has `CONFIG`, `image`, `long_run` and `echo`."""
    # Forking with threads is what is tested; newer Pythons warn of it.
    options = ["-X", "faulthandler", "-W", "always::ResourceWarning"]
    options += ["-W", "ignore:This process:DeprecationWarning"]
    return subprocess.Popen(
        [sys.executable, *options, "-c", PREAMBLE + textwrap.dedent(text), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(text: str, *arguments: str) -> str:
    """What such a program writes. It has to end by itself, well and without a complaint."""
    with program(text, *arguments) as running:
        try:
            out, err = running.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
    assert (running.returncode, err) == (0, ""), err
    return out


def ask(path: str) -> Any:
    request = urllib.request.Request(URL + "/v1" + path)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture
def operation(marker: str) -> Callable[[str], str]:
    """Waits until the operation with the test's marker has a status, and gives its id."""

    def operation(status: str) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for summary in ask(f"/operations?status={status}"):
                found = ask(f"/operations/{summary['uuid']}")
                if (found["metadata"].get("env") or {}).get("MARKER") == marker:
                    return summary["uuid"]
        raise AssertionError(f"no operation became {status}")

    return operation
