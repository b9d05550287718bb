"""What the program offers, how it starts, and the parts that need no sandbox."""

import subprocess

import pytest
from agent import PROGRAM, TOKEN, URL, variables

TOOLS = {
    "run", "import_image", "list_images", "get_image", "set_tag", "rsync", "upload", "download",
    "get_operation", "list_operations", "wait_operations", "cancel_operation", "whoami",
    "list_files", "read_file", "grep", "get_guide", "registry_token_obtain", "registry_auth",
}  # fmt: skip
GUIDES = {"workflow", "reference", "quickstart", "state", "async", "tagging", "errors"}
PROMPTS = {
    "prepare-environment": {"task": "count words", "project": "words", "packages": "nltk"},
    "run-python": {"code": "print(6 * 7)"},
    "run-shell": {"command": "uname -a"},
    "sync-and-run": {"source": "/src", "command": "make"},
    "install-packages": {"packages": "flask"},
    "parallel-tasks": {"tasks": "a\nb"},
    "build-project": {"source": "/src"},
    "debug-failure": {"operation_id": "some-operation"},
    "inspect-image": {"image": "tag:debian:bookworm"},
    "multi-stage-build": {"source": "/src"},
}


def test_every_tool_declares_what_it_returns(agent):
    assert set(agent.tools) == TOOLS
    assert all(tool.outputSchema for tool in agent.tools.values())
    assert agent.started.serverInfo.name == "contree-mcp"


def test_guides_are_resources_and_a_tool(agent):
    resources = agent.ask(agent.session.list_resources).resources
    assert {str(r.uri) for r in resources} == {f"contree://guide/{name}" for name in GUIDES}
    for name in GUIDES:
        guide = agent("get_guide", section=name)
        assert set(guide["available_sections"]) == GUIDES
        assert guide["content"] == agent.read(f"contree://guide/{name}")
    assert "Unknown guide section" in agent.refused("get_guide", section="none")


def test_prompts_are_filled_in(agent):
    prompts = {p.name: p for p in agent.ask(agent.session.list_prompts).prompts}
    assert set(prompts) == set(PROMPTS)
    for name, arguments in PROMPTS.items():
        required = {argument.name for argument in prompts[name].arguments if argument.required}
        assert required <= set(arguments)
        (message,) = agent.ask(agent.session.get_prompt, name, arguments).messages
        assert all(value.split("\n")[0] in message.content.text for value in arguments.values())


def test_who_the_token_is(agent, api):
    me = agent("whoami")
    assert me["permissions"] == dict.fromkeys(
        ("import", "spawn", "spawn_disposable", "list", "cancel", "set_image_tag"), True
    )
    assert me["token_uuid"] == api.whoami().token_uuid
    assert me["limits"]["instance_max_timeout"] == 3600
    # Numbers are whole, in this program's eyes: else it could not answer at all.
    numbers = [*me["limits"].values(), *me["operations_stat"].values()]
    assert all(type(number) is int for number in numbers)
    assert me["mcp_version"] == "0.5.0" and me["mcp_upgrade"] is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "No API token"),
        ({"CONTREE_TOKEN": TOKEN, "CONTREE_URL": URL}, "requires a project"),
    ],
)
def test_it_does_not_start_without_credentials(tmp_path, settings, told):
    ended = subprocess.run(
        [PROGRAM], env=variables(tmp_path, **settings), capture_output=True, text=True, timeout=40
    )
    assert ended.returncode != 0 and told in ended.stderr
