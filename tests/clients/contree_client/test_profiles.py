"""Where a client finds its server and its token."""

import os
from importlib import import_module

import pytest
from contree_client.profiles import from_env

from conftest import TOKEN, URL
from contree_client import (
    AuthenticationError,
    Profile,
    ProfileError,
    load_profiles,
    resolve_profile,
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A configuration folder with profiles for this server and for others."""
    for name in list(os.environ):
        if name.startswith(("CONTREE_", "NEBIUS_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "contree"
    folder.mkdir()
    monkeypatch.setenv("CONTREE_HOME", str(folder))
    (folder / "auth.ini").write_text(f"""\
[DEFAULT]
profile = here

[profile:here]
type = jwt
url = {URL}/
token = {TOKEN}

[profile:iam]
type = iam
url = {URL}
token = {TOKEN}
project = aiproject-1

[profile:wrong]
type = jwt
url = {URL}
token = nobody

[profile:nowhere]
type = jwt
token = {TOKEN}
""")
    return folder


@pytest.fixture
def client_class():
    return import_module("contree_client.sync").ContreeClient


def test_the_active_profile(home, client_class, debian):
    with client_class.from_profile() as client:
        assert client.resolve_image("debian:bookworm") == debian


def test_a_named_profile(home, client_class, debian, monkeypatch):
    for name in ("here", "iam"):
        with client_class.from_profile(name) as client:
            assert client.inspect_image(debian).uuid == debian
    monkeypatch.setenv("CONTREE_PROFILE", "iam")
    with client_class.from_profile() as client:
        assert client.project == "aiproject-1"
        assert client.inspect_image(debian).uuid == debian
    assert resolve_profile("here").url == URL
    profiles, active = load_profiles()
    assert (set(profiles), active) == ({"here", "iam", "wrong", "nowhere"}, "here")


def test_a_profile_of_another_file(home, client_class, debian, tmp_path):
    moved = (home / "auth.ini").rename(tmp_path / "auth.ini")
    with client_class.from_profile("here", config_path=moved, timeout=20) as client:
        assert client.inspect_image(debian).uuid == debian
    with pytest.raises(ProfileError):
        client_class.from_profile("here")


def test_profiles_that_do_not_do(home, client_class):
    for name in ("absent", "nowhere"):
        with pytest.raises(ProfileError):
            client_class.from_profile(name)
    with client_class.from_profile("wrong") as client, pytest.raises(AuthenticationError):
        client.whoami()


def test_the_environment(home, client_class, debian, monkeypatch):
    assert from_env() is None
    monkeypatch.setenv("CONTREE_TOKEN", TOKEN)
    assert from_env() is None
    monkeypatch.setenv("CONTREE_URL", URL + "/")
    monkeypatch.setenv("CONTREE_PROJECT", "anything")
    profile = from_env()
    assert profile == Profile("environment", URL, TOKEN, project="anything")
    with client_class.from_profile(profile) as client:
        assert client.inspect_image(debian).uuid == debian


def test_the_environment_of_the_hosted_service(home, client_class, debian, monkeypatch):
    monkeypatch.setenv("NEBIUS_API_KEY", TOKEN)
    monkeypatch.setenv("NEBIUS_AI_PROJECT", "aiproject-2")
    monkeypatch.setenv("CONTREE_URL", URL)
    with client_class.from_profile(from_env()) as client:
        assert client.inspect_image(debian).uuid == debian


async def test_asynchronous_clients_too(home, debian):
    client_class = import_module("contree_client.asyncio").ContreeAsyncClient
    async with client_class.from_profile("here") as client:
        assert await client.resolve_image("debian:bookworm") == debian
