"""Images: finding, naming, importing, and looking into them without running anything."""

import base64

import pytest
from agent import DEBIAN
from door import HOST, PASSWORD, REGISTRY, USER

SETUP = r"""
mkdir -p /srv/app && cd /srv/app
printf 'alpha\nTODO one\nTODO two\n' > notes.txt
printf 'todo three\n' > code.py
printf '\377\000' > bytes && ln -s notes.txt link && chmod 4711 bytes
"""


@pytest.fixture(scope="module")
def prepared(agent):
    """An image with a small project."""
    return agent.run(SETUP, disposable=False)["result_image_uuid"]


def test_images_are_found_and_named(agent, prepared):
    debian = agent("get_image", image=DEBIAN)
    assert debian["tag"] == "debian:bookworm" and debian["created_at"]
    assert agent("get_image", image=debian["uuid"])["uuid"] == debian["uuid"]
    named = agent("set_tag", image_uuid=prepared, tag="common/notes/debian:bookworm")
    assert named["uuid"] == prepared and named["tag"] == "common/notes/debian:bookworm"
    for prefix in ("common/", "common/notes"):
        listed = agent("list_images", tag_prefix=prefix)["images"]
        assert [image["uuid"] for image in listed] == [prepared]
    everything = agent("list_images", since="1h")["images"]
    assert len(everything) > len(agent("list_images", tagged=True)["images"]) >= 2
    assert agent("list_images", limit=1, offset=1)["images"][0] == everything[1]
    assert agent("list_images", until="2020-01-01")["images"] == []
    assert agent("set_tag", image_uuid=prepared)["tag"] is None
    assert "404" in agent.refused("get_image", image="tag:common/notes/debian:bookworm")
    assert "400" in agent.refused("set_tag", image_uuid=prepared, tag="not a tag")


def test_folders_and_files_are_read(agent, prepared):
    listing = agent("list_files", image=prepared, path="srv/app")
    files = {entry["name"]: entry for entry in listing["files"]}
    assert listing["count"] == 4 and set(files) == {"notes.txt", "code.py", "bytes", "link"}
    assert files["link"]["type"] == "symlink" and files["link"]["target"] == "notes.txt"
    assert files["bytes"]["mode"] == "0o104711" and files["bytes"]["size"] == 2
    assert {"etc", "usr"} <= {entry["name"] for entry in agent("list_files", image=DEBIAN)["files"]}

    text = agent("read_file", image=prepared, path="/srv/app/link")
    assert text["content"] == "alpha\nTODO one\nTODO two\n" and text["encoding"] == "utf-8"
    data = agent("read_file", image=prepared, path="/srv/app/bytes")
    assert data["encoding"] == "base64" and base64.b64decode(data["content"]) == b"\xff\x00"
    assert "404" in agent.refused("read_file", image=prepared, path="/absent")
    assert "422" in agent.refused("read_file", image=prepared, path="/srv/app")
    assert "404" in agent.refused("list_files", image=prepared, path="/absent")


def test_contents_are_searched(agent, prepared):
    found = agent("grep", image=prepared, pattern="TODO", path="/srv/app")
    assert found["path"] == "/srv/app" and found["patterns"] == ["TODO"]
    assert [match["line_number"] for match in found["matches"]] == [2, 3]
    assert found["matches"][0]["line_text"].rstrip() == "TODO one"
    found = agent("grep", image=prepared, pattern="todo", glob="*.py", case="insensitive", path="/srv")
    assert [match["path"] for match in found["matches"]] == ["/srv/app/code.py"]
    cut = agent("grep", image=prepared, pattern="TODO", path="/srv", max_total=1)
    assert cut["truncated"] is True and len(cut["matches"]) == 1
    assert len(agent("grep", image=prepared, pattern="TODO", path="/srv", max_count=1)["matches"]) == 1
    assert agent("grep", image=prepared, pattern="nowhere", path="/srv")["matches"] == []
    assert "400" in agent.refused("grep", image=prepared, pattern="(")


def test_images_are_resources(agent, prepared):
    templates = agent.ask(agent.session.list_resource_templates).resourceTemplates
    assert {template.uriTemplate for template in templates} == {
        "contree://image/{image}/read/{path}",
        "contree://image/{image}/ls/{path}",
        "contree://image/{image}/lineage",
        "contree://operations/instance/{operation_id}",
        "contree://operations/import/{operation_id}",
    }
    assert agent.read(f"contree://image/{prepared}/read/srv/app/code.py") == "todo three\n"
    assert agent.read(f"contree://image/{prepared}/read/srv/app/bytes") == "base64:/wA="
    assert "bookworm" in agent.read(f"contree://image/{DEBIAN}/read/etc/os-release")
    lines = agent.read(f"contree://image/{prepared}/ls/srv/app").splitlines()
    assert any(line.startswith("-rws--x--x ") and line.endswith(" bytes") for line in lines)
    assert any(line.endswith(" link -> notes.txt") for line in lines)
    # `ls/.`, for the root, cannot be asked for: the mcp library takes the dot out of the address.


def test_an_import_needs_a_login_or_to_go_without(agent):
    url = f"docker://{REGISTRY}/team/tiny:1"
    assert "registry_token_obtain" in agent.refused("import_image", registry_url=url)
    # The registry wants a password, so going without one is tried and fails.
    anonymous = {"i_accept_that_anonymous_access_might_be_rate_limited": True}
    result = agent("import_image", registry_url=url, **anonymous)
    assert result["status"] == "FAILED" and result["error"]
    told = agent.read(f"contree://operations/import/{result['uuid']}")
    assert told.startswith("STATE: FAILED") and f"REGISTRY_URL: {url}" in told


def test_an_import_with_a_login(agent):
    url = f"docker://{REGISTRY}/team/tiny:1"
    login = {"registry_url": url, "username": USER}
    assert agent("registry_auth", **login, token="wrong")["status"] == "error"
    assert agent("registry_auth", **login, token=PASSWORD) == {
        "status": "success",
        "registry": HOST,
        "message": f"Authenticated with '{HOST}' as '{USER}' successfully.",
    }
    # Without a tag the request says `"tag": null`.
    result = agent("import_image", registry_url=url)
    assert result["status"] == "SUCCESS" and result["result"]["tag"] is None, result
    assert result["kind"] == "image_import" and result["image_uuid"] is None
    image = result["result_image_uuid"]
    assert agent.run("echo $FLAVOUR", image)["stdout"] == "sour\n"
    # Again, named and in the background: the same image.
    started = agent("import_image", registry_url=url, tag="mcp/tiny:1", wait=False)
    done = agent("wait_operations", operation_ids=[started["operation_id"]])
    again = done["results"][started["operation_id"]]
    assert again["result"] == {"image": image, "tag": "mcp/tiny:1"}
    told = agent.read(f"contree://operations/import/{again['uuid']}")
    assert f"RESULT_IMAGE: {image}\nRESULT_TAG: mcp/tiny:1" in told
    assert PASSWORD not in told


def test_the_page_for_a_token_is_opened(agent, browser):
    _, shown = browser
    answer = agent("registry_token_obtain", registry_url="docker://ghcr.io/owner/image:1")
    assert answer["status"] == "success" and answer["registry"] == "ghcr.io"
    assert answer["agent_instruction"].startswith("STOP")
    assert shown.read_text().split() == [answer["url"]]
    answer = agent("registry_token_obtain", registry_url=f"docker://{REGISTRY}/team/tiny:1")
    assert answer["status"] == "error" and "Unknown registry" in answer["message"]
