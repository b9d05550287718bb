"""Runs, from request to result."""

from typing import Any

from contree_client import OperationResponse, OperationStatus


def run(client: Any, command: str, image: str, **fields: Any) -> OperationResponse:
    """Runs a command to its end and holds the operation to SUCCESS."""
    operation = client.spawn_instance(command, image, **fields).uuid
    done = client.wait_operation(operation, timeout=60)
    assert done.status == OperationStatus.SUCCESS, done
    return done


def shell(client: Any, script: str, image: str, **fields: Any) -> OperationResponse:
    """Runs a script that keeps nothing; holds it to exit code 0."""
    done = run(client, script, image, shell=True, **{"disposable": True, **fields})
    assert done.metadata.result.state.exit_code == 0, done
    return done


def stdout(done: OperationResponse) -> str:
    """What the command of an ended run wrote."""
    return done.metadata.result.stdout.as_text()
