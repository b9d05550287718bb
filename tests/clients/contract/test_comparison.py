"""That the comparison sees what it is there to see."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from comparison import Comparison
from document import contract

Document = dict[str, Any]


def operation(document: Document, method: str, path: str) -> Document:
    return document["paths"][path][method]


def schema(document: Document, name: str) -> Document:
    return document["components"]["schemas"][name]


def without_path(document: Document) -> None:
    del document["paths"]["/whoami"]


def without_method(document: Document) -> None:
    del document["paths"]["/files/{sha256}"]["head"]


def renamed_operation(document: Document) -> None:
    operation(document, "get", "/images")["operationId"] = "images"


def renamed_parameter(document: Document) -> None:
    operation(document, "get", "/images")["parameters"][0]["name"] = "max"


def required_parameter(document: Document) -> None:
    operation(document, "get", "/images")["parameters"][0]["required"] = True


def lower_maximum(document: Document) -> None:
    operation(document, "get", "/images")["parameters"][0]["schema"]["maximum"] = 10


def other_default(document: Document) -> None:
    operation(document, "get", "/images")["parameters"][0]["schema"]["default"] = 10


def fewer_values(document: Document) -> None:
    operation(document, "get", "/operations")["parameters"][2]["schema"]["enum"].pop()


def further_parameter(document: Document) -> None:
    parameter = {"name": "x", "in": "query", "required": True, "schema": {"type": "string"}}
    operation(document, "get", "/images")["parameters"].append(parameter)


def without_status(document: Document) -> None:
    del operation(document, "get", "/images")["responses"]["403"]


def without_header(document: Document) -> None:
    del operation(document, "post", "/instances")["responses"]["201"]["headers"]["Location"]


def without_media(document: Document) -> None:
    answer = operation(document, "get", "/inspect/{image_uuid}/list")["responses"]["200"]
    del answer["content"]["text/plain"]


def renamed_field(document: Document) -> None:
    fields = schema(document, "FileItem")["properties"]
    fields["name"] = fields.pop("path")


def required_field(document: Document) -> None:
    schema(document, "InstanceSpawnRequest")["required"].append("env")


def promise_dropped(document: Document) -> None:
    schema(document, "FileItem")["required"].remove("size")


def other_type(document: Document) -> None:
    schema(document, "Image")["properties"]["tag"]["type"] = "integer"


def null_refused(document: Document) -> None:
    del schema(document, "InstanceSpawnRequest")["properties"]["env"]["nullable"]


def null_sent(document: Document) -> None:
    schema(document, "File")["properties"]["sha256"]["nullable"] = True


def further_value_sent(document: Document) -> None:
    schema(document, "OperationSummary")["properties"]["status"]["enum"].append("LOST")


def deep_field(document: Document) -> None:
    del schema(document, "InstanceResult")["properties"]["state"]["properties"]["signal"]


def event_field(document: Document) -> None:
    del schema(document, "EventDataExit")["properties"]["resources"]


def without_variant(document: Document) -> None:
    schema(document, "ImageSource")["oneOf"].pop()


@pytest.mark.parametrize(
    "change",
    [
        without_path,
        without_method,
        renamed_operation,
        renamed_parameter,
        required_parameter,
        lower_maximum,
        other_default,
        fewer_values,
        further_parameter,
        without_status,
        without_header,
        without_media,
        renamed_field,
        required_field,
        promise_dropped,
        other_type,
        null_refused,
        null_sent,
        further_value_sent,
        deep_field,
        event_field,
        without_variant,
    ],
)
def test_a_change_is_seen(change: Callable[[Document], None]) -> None:
    changed = copy.deepcopy(contract())
    change(changed)
    assert Comparison(contract(), changed).differences()


def test_the_contract_is_like_itself() -> None:
    assert Comparison(contract(), contract()).differences() == []


def test_more_is_no_difference() -> None:
    more = contract()
    more["paths"]["/more"] = {"get": {"responses": {}}}
    operation(more, "get", "/images")["parameters"][0]["schema"]["maximum"] = 1000
    operation(more, "get", "/images")["responses"]["500"] = {"description": "A fault."}
    schema(more, "Image")["properties"]["parent_uuid"] = {"type": "string"}
    schema(more, "InstanceSpawnRequest")["properties"]["name"] = {"type": "string"}
    assert Comparison(contract(), more).differences() == []
