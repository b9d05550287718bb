"""One server, and registries to import from, for all tests."""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from contree_sdk.auth import JWTAuth
from contree_sdk.config import ContreeConfig

from forms import Asynchronous, Blocking

URL = os.environ["CONTREE_TEST_URL"]
TOKEN = os.environ["CONTREE_TEST_TOKEN"]
DEBIAN = "debian:bookworm"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK reads the environment: nothing of it is set but what a test sets."""
    for name in list(os.environ):
        if name.startswith(("CONTREE_", "NEBIUS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def config() -> ContreeConfig:
    """A token for this server; results are asked for often, for speed."""
    return ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=URL), operation_poll_secs_min=0.02)


@pytest.fixture(params=[Blocking, Asynchronous], ids=["sync", "async"])
def form(request: pytest.FixtureRequest) -> type[Blocking | Asynchronous]:
    return request.param


@pytest.fixture
def open_sdk(form, config) -> Iterator[Callable[..., Blocking | Asynchronous]]:
    """Opens clients of either form, with settings of the test's own."""
    opened = []

    def open_sdk(**settings) -> Blocking | Asynchronous:
        opened.append(form(replace(config, **settings)))
        return opened[-1]

    yield open_sdk
    for sdk in opened:
        sdk.close()


@pytest.fixture
def sdk(open_sdk) -> Blocking | Asynchronous:
    """A client of either form."""
    return open_sdk()


@pytest.fixture
def debian(sdk):
    """The Debian image, looked up."""
    return sdk.of(sdk.client.images.use(DEBIAN, strict=True))


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes names that no other test uses."""
    return lambda name: f"{name}-{uuid.uuid4().hex[:12]}"
