"""Making a client: from code, from the environment, from the profiles of the command line."""

import asyncio
import logging
import threading
from dataclasses import replace

import pytest
from contree_sdk.auth import IAMAuth, JWTAuth
from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.exceptions import ApiStatusCodeError, ContreeTransportError, ForbiddenError

from conftest import DEBIAN, TOKEN, URL
from contree_sdk import Contree, ContreeSync
from wire import ask


def reaches(client: ContreeSync) -> bool:
    return client.images.use(DEBIAN, strict=True).uuid is not None


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with profiles as `contree auth` writes them."""
    folder = tmp_path / "config" / "contree"
    folder.mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (folder / "auth.ini").write_text(f"""\
[DEFAULT]
profile = here

[profile:here]
type = iam
url = {URL}
token = {TOKEN}
project = aiproject-of-the-profile

[profile:wrong]
type = jwt
url = {URL}
token = nobody
""")
    return folder


def test_explicit_values():
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=URL))))
    iam = IAMAuth(token=TOKEN, base_url=URL, project_id="aiproject-1")
    assert reaches(ContreeSync(ContreeConfig(auth=iam)))
    # A trailing slash, as the hosted service's URL has one.
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth(token=TOKEN, base_url=f"{URL}/"))))


def test_the_short_form_sends_a_placeholder_for_the_project():
    client = ContreeSync(base_url=URL, token=TOKEN)
    assert client.config.auth.project_id == "NEBIUS_PROJECT_ID"
    assert reaches(client)
    with pytest.raises(ValueError, match="token"):
        ContreeSync(ContreeConfig(), token=TOKEN)
    with pytest.raises(ValueError, match="base_url"):
        ContreeSync(ContreeConfig(), base_url=URL)


def test_the_environment(monkeypatch):
    monkeypatch.setenv("NEBIUS_API_KEY", TOKEN)
    monkeypatch.setenv("NEBIUS_PROJECT_ID", "aiproject-2")
    client = ContreeSync(ContreeConfig(auth=IAMAuth(base_url=URL)))
    assert client.config.auth.project_id == "aiproject-2"
    assert reaches(client)
    monkeypatch.setenv("CONTREE_BASE_URL", URL)
    monkeypatch.setenv("CONTREE_TOKEN", TOKEN)
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth())))
    monkeypatch.setenv("MY_OWN_VARIABLE", TOKEN)
    monkeypatch.setenv("CONTREE_TOKEN", "nobody")
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth(token="MY_OWN_VARIABLE"))))


def test_the_profiles_of_the_command_line(home):
    client = ContreeSync()
    auth = client.config.auth
    assert (auth.token, auth.base_url, auth.project_id) == (
        TOKEN, URL, "aiproject-of-the-profile",
    )  # fmt: skip
    assert reaches(client)
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth())))


def test_each_source_is_stronger_than_the_next(home, monkeypatch):
    monkeypatch.setenv("CONTREE_PROFILE", "wrong")
    with pytest.raises(ApiStatusCodeError):
        reaches(ContreeSync(ContreeConfig(auth=JWTAuth())))
    monkeypatch.setenv("CONTREE_TOKEN", TOKEN)
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth())))
    monkeypatch.setenv("CONTREE_TOKEN", "nobody")
    assert reaches(ContreeSync(ContreeConfig(auth=JWTAuth(token=TOKEN))))


def test_a_home_of_its_own(home, tmp_path, monkeypatch):
    moved = tmp_path / "elsewhere"
    home.rename(moved)
    monkeypatch.setenv("CONTREE_HOME", str(moved))
    assert reaches(ContreeSync())


def test_what_a_token_is_and_may(sdk):
    info = sdk.of(sdk.client.get_token_info())
    assert info.token_uuid
    assert info.permissions["spawn"] is True
    assert info.limits["instance_max_timeout"] == 3600
    assert info.limits["images_import_max_timeout"] == 3600
    assert sdk.of(sdk.client.get_token_info()) is info
    assert sdk.of(sdk.client.get_token_info(refresh=True)) is not info


def test_a_timeout_beyond_the_limit_is_warned_of_and_refused(sdk, debian, caplog):
    sdk.of(sdk.client.get_token_info())
    with caplog.at_level(logging.WARNING), pytest.raises(ApiStatusCodeError) as raised:
        sdk.done(debian.run("true", timeout=5000))
    assert "instance_max_timeout=3600" in caplog.text
    assert raised.value.status == 400
    assert "timeout" in raised.value.error


def test_a_token_that_ends_soon_is_warned_of(open_sdk, unique, caplog):
    project = ask("/admin/projects", "POST", {"name": unique("project")})["name"]
    fields = {"project": project, "expires_in": 7200, "limits": {"instance_max_timeout": 60}}
    token = ask("/admin/tokens", "POST", fields)["token"]
    sdk = open_sdk(auth=JWTAuth(token=token, base_url=URL))
    with caplog.at_level(logging.WARNING):
        info = sdk.of(sdk.client.get_token_info())
    assert "Token expires in 2 hours" in caplog.text
    assert info.limits["instance_max_timeout"] == 60
    assert sdk.of(sdk.client.images()) == []


def test_a_token_that_may_only_read(open_sdk):
    fields = {"project": "default", "permissions": ["list"]}
    token = ask("/admin/tokens", "POST", fields)["token"]
    sdk = open_sdk(auth=JWTAuth(token=token, base_url=URL))
    image = sdk.of(sdk.client.images.use(DEBIAN, strict=True))
    with pytest.raises(ForbiddenError):
        sdk.done(image.run("true"))


def test_a_token_that_nobody_has(open_sdk):
    sdk = open_sdk(auth=JWTAuth(token="nobody", base_url=URL))
    with pytest.raises(ApiStatusCodeError) as raised:
        sdk.of(sdk.client.images())
    assert raised.value.status == 401
    assert raised.value.request.url.startswith(URL)


def test_a_server_that_is_not_there(open_sdk):
    sdk = open_sdk(auth=JWTAuth(token=TOKEN, base_url="http://127.0.0.1:1"))
    with pytest.raises(ContreeTransportError):
        sdk.of(sdk.client.images())


async def test_one_client_on_several_event_loops(config):
    client = Contree(config)
    assert (await client.images.use(DEBIAN, strict=True)).uuid
    found = []

    def elsewhere() -> None:
        found.append(asyncio.run(client.images.use(DEBIAN, strict=True)).uuid)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [(await client.images.use(DEBIAN, strict=True)).uuid]


def test_settings_are_taken(open_sdk):
    sdk = open_sdk(default_truncate_output_at=10)
    image = sdk.of(sdk.client.images.use(DEBIAN))
    done = sdk.done(image.run(shell="seq 100"))
    assert done.stdout == "1\n2\n3\n4\n5\n"
    assert done.result.truncated is True
    assert replace(sdk.client.config, operation_timeout=5).operation_timeout == 5
