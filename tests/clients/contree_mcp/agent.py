"""An agent that talks to contree-mcp over its standard input and output."""

import os
import shutil
from contextlib import asynccontextmanager

import jsonschema
from anyio.from_thread import BlockingPortal
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from pydantic import AnyUrl

URL = os.environ["CONTREE_TEST_URL"]
TOKEN = os.environ["CONTREE_TEST_TOKEN"]
PROGRAM = shutil.which("contree-mcp")
DEBIAN = "tag:debian:bookworm"


def variables(home, **settings):
    """The environment of the program: a home of its own, and nothing that reaches outside."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "CONTREE_HOME": str(home / "contree"),
        "CONTREE_NO_UPDATE_CHECK": "1",
        **settings,
    }


@asynccontextmanager
async def connected(home, **settings):
    """A session with a program of its own."""
    program = StdioServerParameters(
        command=PROGRAM,
        args=["--log-level", "warning"],
        env=variables(home, **settings),
        cwd=home,
    )
    async with stdio_client(program) as streams, ClientSession(*streams) as session:
        started = await session.initialize()
        tools = (await session.list_tools()).tools
        yield session, started, {tool.name: tool for tool in tools}


class Agent:
    """Calls tools and reads resources, and holds every answer to the schema declared for it."""

    def __init__(self, portal: BlockingPortal, session: ClientSession, started, tools):
        self._portal = portal
        self.session = session
        self.started = started
        self.tools = tools

    def ask(self, method, *args):
        """Any request of the protocol."""
        return self._portal.call(method, *args)

    def __call__(self, tool, **arguments):
        """Calls a tool, which must succeed; what it returns."""
        answer = self.ask(self.session.call_tool, tool, arguments)
        assert not answer.isError, answer.content[0].text
        jsonschema.validate(answer.structuredContent, self.tools[tool].outputSchema)
        # What is no object, or one of several kinds, comes inside one.
        if set(answer.structuredContent) == {"result"}:
            return answer.structuredContent["result"]
        return answer.structuredContent

    def refused(self, tool, **arguments):
        """Calls a tool, which must fail; what it says."""
        answer = self.ask(self.session.call_tool, tool, arguments)
        assert answer.isError, answer.structuredContent
        return answer.content[0].text

    def run(self, command, image=DEBIAN, **more):
        """Runs a command, which must end as SUCCESS."""
        result = self("run", command=command, image=image, **more)
        assert result["status"] == "SUCCESS", result
        return result

    def started_run(self, command, image=DEBIAN, **more):
        """Starts a command; its operation."""
        return self("run", command=command, image=image, wait=False, **more)["operation_id"]

    def read(self, uri):
        """Reads a resource that is one text."""
        (content,) = self.ask(self.session.read_resource, AnyUrl(uri)).contents
        return content.text
