"""A person who is logged in, and the states that their tests start from."""

import pytest
from contree_client.models import decode_chunk
from contree_client.sync import ContreeClient
from person import PATIENCE, TOKEN, URL, Person


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A home in which the person is logged in."""
    home = tmp_path_factory.mktemp("home")
    Person(home)("auth", "--type", "jwt", "--url", URL, "--token", TOKEN)
    return home


@pytest.fixture
def contree(home, tmp_path):
    """The person, without any session."""
    return Person(home, database=tmp_path / "sessions.db")


@pytest.fixture(scope="session")
def on_debian(home, tmp_path_factory):
    person = Person(home, database=tmp_path_factory.mktemp("debian") / "sessions.db")
    person("use", "tag:debian:bookworm")
    return person


@pytest.fixture
def debian(on_debian, tmp_path):
    """The person, with the session on a Debian image."""
    return on_debian.copied(tmp_path)


@pytest.fixture(scope="session")
def api():
    """The HTTP API, for what no command tells: states to wait for."""
    with ContreeClient(TOKEN, base_url=URL) as client:
        yield client


@pytest.fixture
def said(api):
    """Waits until the process of an operation has written a text."""

    def wait(operation, text):
        seen = b""
        for event in api.follow_operation_events(operation, timeout=PATIENCE):
            if event.type == "stdout":
                seen += decode_chunk(event.data)
                if text in seen:
                    return
        pytest.fail(f"{operation} ended without {text!r}: {seen!r}")

    return wait
