"""One server for all tests; clients over each transport."""

import os
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from transports import ALL, open_client

URL = os.environ["CONTREE_TEST_URL"]
TOKEN = os.environ["CONTREE_TEST_TOKEN"]


@pytest.fixture(params=ALL)
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A client over each transport in turn."""
    client = open_client(request.param, TOKEN, base_url=URL)
    yield client
    client.close()


@pytest.fixture(params=ALL)
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes clients over each transport in turn, with settings of the test's own."""
    clients = []

    def connect(token: str = TOKEN, **settings: Any) -> Any:
        clients.append(open_client(request.param, token, **{"base_url": URL, **settings}))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def any_client() -> Iterator[Any]:
    """One client, for what does not depend on the transport."""
    client = open_client("sync-http", TOKEN, base_url=URL)
    yield client
    client.close()


@pytest.fixture(scope="session")
def debian() -> str:
    """The uuid of the Debian image."""
    client = open_client("sync-http", TOKEN, base_url=URL)
    found = client.inspect_find_image_by_tag("debian:bookworm")
    client.close()
    return found


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes names that no other test uses."""
    return lambda name: f"{name}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def tree(debian: str) -> SimpleNamespace:
    """An image with a small tree in /srv, made by one run."""
    script = """
        set -e
        mkdir -p /srv/tree/deep /srv/tree/empty
        printf 'first\\nsecond needle\\nthird\\n' > /srv/tree/words.txt
        printf 'a needle here\\nNEEDLE there\\n' > /srv/tree/deep/more.conf
        printf '\\000\\001\\377binary' > /srv/tree/blob
        ln -s words.txt /srv/tree/link
        ln -s /etc/shadow-of-nothing /srv/tree/broken
        chmod 640 /srv/tree/words.txt
        chown 12:34 /srv/tree/words.txt
        head -c 3000000 /dev/zero | tr '\\0' 'x' > /srv/tree/large
        mkfifo /srv/tree/fifo
        touch '/srv/tree/spaces & signs+%.txt'
    """
    client = open_client("sync-http", TOKEN, base_url=URL)
    operation = client.spawn_instance(script, debian, shell=True).uuid
    done = client.wait_operation(operation, timeout=60)
    client.close()
    assert done.metadata.result.state.exit_code == 0, done
    return SimpleNamespace(image=done.result.image, root="/srv/tree")
