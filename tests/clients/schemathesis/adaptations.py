"""Where the server keeps to more, or to something else, than the contract's schemas.

Everything else in an answer that the contract does not have is a failure. Each change is made to
what schemathesis reads of the contract, and says why.
"""

import os
from typing import Any

import schemathesis

UUID = "#/components/schemas/UUIDSchema"


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    for change in (
        base_path,
        tokens_of_one_project,
        redirects_without_token,
        moments,
        flags,
        presence,
        frames,
        metadata_of_one_kind,
        null_for_nothing,
        runs_of_nothing,
        empty_files,
    ):
        change(raw_schema)


def operation(contract: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    return contract["paths"][path][method]


def properties(contract: dict[str, Any], name: str) -> dict[str, Any]:
    return contract["components"]["schemas"][name]["properties"]


def parameter(contract: dict[str, Any], method: str, path: str, name: str) -> dict[str, Any]:
    """The schema of a parameter that is not a reference."""
    parameters = operation(contract, method, path)["parameters"]
    [found] = [parameter for parameter in parameters if parameter.get("name") == name]
    return found["schema"]


def base_path(contract: dict[str, Any]) -> None:
    """The default of the server's variable is the hosted service."""
    contract["servers"] = [{"url": "/v1"}]


def tokens_of_one_project(contract: dict[str, Any]) -> None:
    """Such a token needs no `Project` header: clients send placeholders there, or nothing."""
    contract["security"] = [{"IAMBearerAuth": []}]


def redirects_without_token(contract: dict[str, Any]) -> None:
    """They tell nothing, and the contract has no 401 of them."""
    for path in ("/inspect", "/inspect/{imageUUID}"):
        operation(contract, "get", path)["security"] = []


def moments(contract: dict[str, Any]) -> None:
    """Of files as of images and operations, also seconds and intervals."""
    for name in ("since", "until"):
        del parameter(contract, "get", "/files", name)["format"]


def flags(contract: dict[str, Any]) -> None:
    """Also by name."""
    for path, name in (
        ("/operations/{operationId}", "inflight"),
        ("/operations/{operationId}/events", "follow"),
    ):
        parameter(contract, "get", path, name)["enum"] += ["false", "true"]


def presence(contract: dict[str, Any]) -> None:
    """By its own text, on with any value or none."""
    for path in ("list", "download"):
        parameter(contract, "get", f"/inspect/{{image_uuid}}/{path}", "text")["type"] = "string"


def frames(contract: dict[str, Any]) -> None:
    """The contract describes frames of a stream, but cannot say that the stream is made of them."""
    answer = operation(contract, "get", "/operations/{operationId}/events")["responses"]["200"]
    answer["content"]["text/event-stream"]["schema"] = {
        "$ref": "#/components/schemas/OperationEventSSEFrame"
    }
    # On the wire an id is text, and data is one line of it.
    properties(contract, "OperationEventSSEFrame")["id"] = {"type": "string", "pattern": "^[0-9]+$"}
    properties(contract, "OperationEventSSEFrame")["data"] = {"type": "string"}


def metadata_of_one_kind(contract: dict[str, Any]) -> None:
    """By the contract every run's metadata is also an import's, so never of exactly one kind.

    A run that has not ended has no result; contree_sdk 0.3.6 wants to read that as null.
    """
    contract["components"]["schemas"]["ImageImportMetadata"]["required"] = ["registry"]
    run = contract["components"]["schemas"]["OperationInstanceMetadata"]["allOf"][1]
    run["properties"]["result"] = {"nullable": True, "allOf": [run["properties"]["result"]]}


def null_for_nothing(contract: dict[str, Any]) -> None:
    """Clients leave out or send null."""
    registry = properties(contract, "ImageImportRequest")["registry"]["properties"]
    for fields, names in (
        (properties(contract, "ImageImportRequest"), ("timeout",)),
        (registry, ("credentials",)),
        (registry["credentials"]["properties"], ("username", "password")),
        (properties(contract, "InstanceSpawnRequest"), ("timeout", "stdin")),
        (properties(contract, "ExecSpec"), ("stdin",)),
    ):
        for name in names:
            fields[name] = {"nullable": True, "allOf": [fields[name]]}


def runs_of_nothing(contract: dict[str, Any]) -> None:
    """An image or a file that is not there is 404 everywhere."""
    operation(contract, "post", "/instances")["responses"]["404"] = {
        "$ref": "#/components/responses/NotFound"
    }


def empty_files(contract: dict[str, Any]) -> None:
    """No body is the body of an empty file."""
    operation(contract, "post", "/files")["requestBody"]["required"] = False


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Gives what is well made a chance: an image that is there, a command that ends, a tag."""
    if not isinstance(body, dict):
        return body
    match context.operation.label:
        case "POST /instances" if is_text(body, "command", "image"):
            return {**body, "image": os.environ["IMAGE"], "command": "/usr/bin/id"}
        case "POST /operations/{operationId}/subprocesses" if is_text(body, "command"):
            return {**body, "command": "/usr/bin/id"}
        case "PATCH /images/{imageUUID}/tag" if is_text(body, "tag"):
            return {**body, "tag": "scratch:1"}
    return body


def is_text(body: dict[str, Any], *names: str) -> bool:
    return all(isinstance(body.get(name), str) for name in names)
