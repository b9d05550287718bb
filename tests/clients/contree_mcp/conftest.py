"""One program for all tests, as an agent keeps one for all it does."""

import pytest
from agent import TOKEN, URL, Agent, connected
from anyio.from_thread import start_blocking_portal
from contree_client.sync import ContreeClient
from door import Door


@pytest.fixture(scope="session")
def door(tmp_path_factory):
    """Where the registry hands out tokens."""
    with Door(tmp_path_factory.mktemp("door")) as door:
        yield door


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A browser that notes what it is to show."""
    folder = tmp_path_factory.mktemp("browser")
    shown = folder / "shown"
    program = folder / "browser"
    program.write_text(f"#!/bin/sh\necho \"$1\" >> {shown}\n")
    program.chmod(0o755)
    return program, shown


@pytest.fixture(scope="session")
def agent(tmp_path_factory, door, browser):
    """The agent, connected with what a profile says."""
    home = tmp_path_factory.mktemp("home")
    profile = home / "contree" / "auth.ini"
    profile.parent.mkdir()
    profile.write_text(f"[profile:default]\nurl = {URL}\ntoken = {TOKEN}\ntype = jwt\n")
    settings = {"SSL_CERT_FILE": str(door.certificate), "BROWSER": str(browser[0])}
    with start_blocking_portal() as portal:
        connection = connected(home, **settings)
        with portal.wrap_async_context_manager(connection) as (session, started, tools):
            yield Agent(portal, session, started, tools)


@pytest.fixture(scope="session")
def api():
    """The HTTP API, for what no tool tells."""
    with ContreeClient(TOKEN, base_url=URL) as client:
        yield client
