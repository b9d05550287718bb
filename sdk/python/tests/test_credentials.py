"""Who is asking: values, environment, profiles, and what is said when there is nothing."""

import logging
import os

import pytest

from contree_sdk import ContreeSync
from contree_sdk.auth import IAMAuth, JWTAuth
from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.exceptions import ApiStatusCodeError, ContreeTransportError


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No settings but those of the test, and an empty home."""
    for name in list(os.environ):
        if name.startswith(("CONTREE_", "NEBIUS_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def profiles(tmp_path):
    folder = tmp_path / ".config" / "contree"
    folder.mkdir(parents=True)
    path = folder / "auth.ini"
    path.write_text(
        "[DEFAULT]\nprofile = mine\n"
        "[profile:mine]\nurl = http://mine\ntoken = of%mine\nproject = p-mine\n"
        "[profile:other]\nurl = http://other\ntoken = of-other\n"
    )
    return path


def test_a_value_is_stronger_than_the_environment_than_a_profile(profiles, monkeypatch):
    assert JWTAuth().resolve() == JWTAuth(token="of%mine", base_url="http://mine")
    monkeypatch.setenv("CONTREE_TOKEN", "of-environment")
    assert JWTAuth().resolve() == JWTAuth(token="of-environment", base_url="http://mine")
    explicit = JWTAuth(token="mine", base_url="http://here")
    assert explicit.resolve() == explicit
    monkeypatch.setenv("SOME_NAME", "by name")
    assert JWTAuth(token="SOME_NAME").resolve().token == "by name"


def test_the_profile_is_chosen(profiles, monkeypatch, tmp_path, caplog):
    assert IAMAuth().resolve() == IAMAuth("http://mine", "of%mine", "p-mine")
    monkeypatch.setenv("CONTREE_PROFILE", "other")
    # What a profile does not have stays as it is.
    assert IAMAuth().resolve() == IAMAuth("http://other", "of-other", "NEBIUS_PROJECT_ID")
    monkeypatch.setenv("CONTREE_PROFILE", "nobody")
    with caplog.at_level(logging.WARNING):
        assert JWTAuth().resolve() == JWTAuth()
    assert "'nobody'" in caplog.text and "mine, other" in caplog.text
    monkeypatch.delenv("CONTREE_PROFILE")
    for variable, folder in (("CONTREE_HOME", "a"), ("XDG_CONFIG_HOME", "b/contree")):
        (tmp_path / folder).mkdir(parents=True)
        profiles = profiles.rename(tmp_path / folder / "auth.ini")
        monkeypatch.setenv(variable, str(tmp_path / folder.partition("/")[0]))
        assert JWTAuth().resolve().base_url == "http://mine"
        monkeypatch.delenv(variable)
        assert JWTAuth().resolve() == JWTAuth()


def test_a_broken_file_is_told_of(profiles, caplog):
    profiles.write_text("nonsense\n")
    with caplog.at_level(logging.WARNING):
        assert JWTAuth().resolve() == JWTAuth()
    assert str(profiles) in caplog.text


def test_nothing_at_all_says_what_to_do():
    # As long as nothing is asked for, nothing is missing.
    client = ContreeSync()
    assert client.images.use("debian").tag == "debian"
    with pytest.raises(ApiStatusCodeError, match=r"NEBIUS_API_KEY.*contree auth") as raised:
        client.images()
    assert raised.value.status == 401
    with pytest.raises(ContreeTransportError, match=r"CONTREE_BASE_URL.*contree auth"):
        ContreeSync(ContreeConfig(auth=JWTAuth(token="t"))).images()


def test_the_short_form():
    client = ContreeSync(base_url="http://here", token="t")
    assert client.config.auth == IAMAuth("http://here", "t", "NEBIUS_PROJECT_ID")
    for given in ({"token": "t"}, {"base_url": "http://here"}):
        with pytest.raises(ValueError, match=next(iter(given))):
            ContreeSync(ContreeConfig(), **given)


def test_tokens_are_not_shown():
    config = ContreeConfig(auth=IAMAuth("http://here", "secret-1", "p"))
    client = ContreeSync(config)
    for shown in (client, client.config, client.config.auth, JWTAuth(token="secret-1")):
        assert "secret-1" not in repr(shown)
    assert repr(client) == "ContreeSync(url='http://here', project='p')"
