"""What schemathesis is told beyond the contract.

First, where the server keeps to more, or to something else, than the contract's schemas: each
change says why, and everything else in an answer that the contract does not have is a failure.
Second, what is there to be asked for: as examples, of which it makes its cases, and in the place of
some of the names that it makes up.
"""

import os
import re
from typing import Any

import schemathesis


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
        null_for_removed,
        runs_of_nothing,
        empty_files,
        examples,
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
    files = properties(contract, "InstanceSpawnRequest")["files"]["additionalProperties"]
    for fields, names in (
        (properties(contract, "ImageImportRequest"), ("timeout",)),
        (registry, ("credentials",)),
        (registry["credentials"]["properties"], ("username", "password")),
        (properties(contract, "InstanceSpawnRequest"), ("timeout", "stdin")),
        (files["properties"], ("mode",)),
        (properties(contract, "ExecSpec"), ("stdin",)),
    ):
        for name in names:
            fields[name] = {"nullable": True, "allOf": [fields[name]]}


def null_for_removed(contract: dict[str, Any]) -> None:
    """In an environment, as the contract's text says; answers repeat what was sent."""
    for name in ("InstanceSpawnRequest", "InstanceSpawnResponse", "ExecSpec"):
        properties(contract, name)["env"]["additionalProperties"]["nullable"] = True


def runs_of_nothing(contract: dict[str, Any]) -> None:
    """An image or a file that is not there is 404 everywhere."""
    operation(contract, "post", "/instances")["responses"]["404"] = {
        "$ref": "#/components/responses/NotFound"
    }


def empty_files(contract: dict[str, Any]) -> None:
    """No body is the body of an empty file."""
    operation(contract, "post", "/files")["requestBody"]["required"] = False


# Names of parameters in paths, and the objects that are there: some operations need one that runs,
# some end it.
OBJECTS = {
    "imageUUID": {"": "IMAGE"},
    "image_uuid": {"": "IMAGE"},
    "sha256": {"": "SHA256"},
    "operationId": {
        "": "RUN",
        "operationSubprocessCreate": "RUNNING",
        "operationSubprocess": "RUNNING",
        "operationSubprocessStdin": "FED",
        "operationSubprocessKill": "KILLED",
        "cancelOperation": "CANCELLED",
    },
}


def there(name: str, operation_id: str | None) -> str | None:
    """The object that a parameter in a path may name."""
    objects = OBJECTS.get(name)
    return objects and os.environ[objects.get(operation_id or "", objects[""])]


def examples(contract: dict[str, Any]) -> None:
    """Names of what is there."""
    for item in contract["paths"].values():
        for method, described in item.items():
            if method == "parameters":
                continue
            for parameter in item.get("parameters", []) + described.get("parameters", []):
                name = parameter.get("name")
                if parameter.get("in") == "path" and (
                    found := there(name, described.get("operationId"))
                ):
                    parameter["example"] = found
                elif name == "spid":
                    parameter["example"] = 1
                elif name == "path":
                    whole = described["operationId"] in ("inspectImageFile", "inspectImageGrep")
                    parameter["example"] = "/etc" if whole else "/etc/passwd"
                elif name == "tag":
                    parameter["example"] = "tiny:1"
    schemas = contract["components"]["schemas"]
    schemas["UUIDSchema"]["example"] = os.environ["IMAGE"]
    schemas["ImageSource"]["example"] = os.environ["IMAGE"]
    schemas["ImageSourceTag"]["example"] = "tag:tiny:1"
    for name in ("InstanceSpawnRequest", "ExecSpec"):
        properties(contract, name)["command"]["example"] = "/usr/bin/id"
    files = properties(contract, "InstanceSpawnRequest")["files"]
    files["example"] = {"/root/hello.txt": {"uuid": os.environ["FILE"], "mode": "0644"}}
    uuid = {**schemas["UUIDSchema"], "example": os.environ["FILE"]}
    files["additionalProperties"]["properties"]["uuid"] = uuid
    registry = properties(contract, "ImageImportRequest")["registry"]["properties"]
    registry["url"]["example"] = f"upload:{os.environ['FILE']}"


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    """What other operations need is not ended, and not waited for until it ends."""
    kept = {os.environ["RUNNING"], os.environ["FED"]}
    operation_id = context.operation.definition.raw.get("operationId")
    if operation_id in ("cancelOperation", "operationSubprocessKill", "getOperationEvents"):
        if case.path_parameters.get("operationId") in kept:
            case.path_parameters["operationId"] = there("operationId", operation_id)


@schemathesis.hook
def map_path_parameters(context: Any, values: Any) -> Any:
    """Every second made-up id is one that is there."""
    operation_id = context.operation.definition.raw.get("operationId")
    return values and {
        name: (is_id(value) and value[0] in "02468ace" and there(name, operation_id)) or value
        for name, value in values.items()
    }


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """What is well made gets an image that is there, a command that ends, a tag."""
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


def is_id(value: Any) -> bool:
    """Whether it is a UUID or a hash."""
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-fA-F-]{36}|[0-9a-fA-F]{64}", value))


def is_text(body: dict[str, Any], *names: str) -> bool:
    return all(isinstance(body.get(name), str) for name in names)
