"""A deep agent whose shell and files are a sandbox.

The model here has its answers ready, so that the example runs without one; put a real chat model
in its place.
"""

import sys
from collections.abc import Sequence
from typing import Any

from deepagents import create_deep_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from contree_sdk import ContreeSync
from contree_sdk.langchain.sandbox import ContreeSandbox


class Prepared(GenericFakeChatModel):
    """Answers what it was made with, one after the other."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> "Prepared":
        return self


def calls(name: str, **arguments: str) -> AIMessage:
    return AIMessage(content="", tool_calls=[{"name": name, "args": arguments, "id": name}])


def main() -> None:
    reference = sys.argv[1] if len(sys.argv) > 1 else "debian:bookworm"
    session = ContreeSync().images.use(reference).session()
    sandbox = ContreeSandbox(session)

    # What any agent framework can do with it.
    sandbox.upload_files([("/work/numbers", b"3\n1\n2\n"), ("relative", b"")])
    done = sandbox.execute("sort /work/numbers && ls /nowhere")
    print(done.output, done.exit_code)
    for answer in sandbox.download_files(["/work/numbers", "/work/absent", "/work"]):
        print(answer.path, answer.content, answer.error)

    # An agent that works in it.
    model = Prepared(
        messages=iter(
            [
                calls("write_file", file_path="/work/hello.sh", content="echo hello from $1\n"),
                calls("execute", command="sh /work/hello.sh sandbox"),
                AIMessage(content="It says hello."),
            ]
        )
    )
    agent = create_deep_agent(model=model, backend=sandbox)
    state = agent.invoke({"messages": [HumanMessage("Write a script and run it.")]})
    for message in state["messages"]:
        if isinstance(message, ToolMessage):
            print(f"{message.name}: {message.text}")
    print(state["messages"][-1].text)


main()
