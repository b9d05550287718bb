"""mini-swe-agent with its own environment for sandboxes.

The model here has its answers ready, so that the example runs without one; put a real model in its
place.
"""

import sys

from minisweagent.agents.default import DefaultAgent
from minisweagent.environments.extra.contree import ContreeEnvironment
from minisweagent.models.test_models import DeterministicModel, make_output

from contree_sdk.config import ContreeConfig


def step(command: str) -> dict[str, object]:
    return dict(make_output(f"I run `{command}`.", [{"command": command}], cost=0.0))


def main() -> None:
    image = sys.argv[1] if len(sys.argv) > 1 else "debian:bookworm"
    environment = ContreeEnvironment(
        contree_config=ContreeConfig(),
        image=image,
        cwd="/work/project",
        env={"GREETING": "hello"},
        interpreter=["sh", "-c"],
        timeout=30,
    )
    model = DeterministicModel(  # type: ignore[no-untyped-call]
        outputs=[
            step('echo "$GREETING" > greeting; pwd'),
            step("cat greeting absent"),
            step("no-such-program"),
            step("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT; cat greeting"),
        ]
    )
    agent = DefaultAgent(
        model,
        environment,
        system_template="You write greetings.",
        instance_template="{{task}}",
    )
    done = agent.run("Greet me.")
    for message in agent.messages[2:]:
        print(message["content"].strip())
    print(done["exit_status"], repr(done["submission"]))


main()
