"""The document that the server serves, against the contract of the published clients."""

import json
import os
import urllib.request
from typing import Any

import pytest
from comparison import Comparison
from document import contract

GRAMMAR = "^[A-Za-z0-9][A-Za-z0-9_-]*(?:[:/.][A-Za-z0-9_-]+)*$"

BOUND_IN_PROSE = "the contract says so in its description"
TAGS = "the grammar that the contract names for `tag:` sources holds for all tags"
POSITIVE = "a run or an import that may take no time, or less, cannot succeed"

# Differences that remain, each with its reason. One that no longer is fails the test.
INTENDED = {
    "Error in answers.traceback: is missing": "where the server failed is for its log alone",
    "ExecSpec in requests.truncate_output_at: maximum None is 10485760": BOUND_IN_PROSE,
    "ExecSpec in requests.truncate_output_at: minimum None is 0": "it counts bytes",
    "ImageImportRequest in requests.tag: maxLength None is 256": TAGS,
    f"ImageImportRequest in requests.tag: pattern None is {GRAMMAR}": TAGS,
    "ImageImportRequest in requests.timeout: minimum None is 1": POSITIVE,
    "InstanceSpawnRequest in requests.files.*.gid: minimum None is 0": "as for `gid` of the run",
    "InstanceSpawnRequest in requests.files.*.uid: minimum None is 0": "as for `uid` of the run",
    "InstanceSpawnRequest in requests.files.*.uuid: is newly required": (
        "without it there is nothing to attach"
    ),
    "InstanceSpawnRequest in requests.timeout: minimum None is 1": POSITIVE,
    "InstanceSpawnRequest in requests.truncate_output_at: maximum None is 10485760": (
        BOUND_IN_PROSE
    ),
    "InstanceSpawnRequest in requests.truncate_output_at: minimum None is 0": "it counts bytes",
    "InstanceSpawnResponse in answers.env.*: null is not in the contract": (
        "a request may remove variables with null, as the contract's text says; it is repeated "
        "as it was sent"
    ),
    "OperationInstanceMetadata in answers.env.*: null is not in the contract": (
        "as in the answer to the request"
    ),
    "OperationInstanceMetadata in answers.result: null is not in the contract": (
        "contree_sdk 0.3.6 cannot read an operation without the key, also before it has a result"
    ),
    "PATCH /images/{imageUUID}/tag body application/json.tag: maxLength None is 256": TAGS,
    f"PATCH /images/{{imageUUID}}/tag body application/json.tag: pattern None is {GRAMMAR}": TAGS,
}


@pytest.fixture(scope="session")
def served() -> dict[str, Any]:
    """The server's document."""
    with urllib.request.urlopen(f"{os.environ['CONTREE_TEST_URL']}/v1/openapi.json") as answer:
        assert answer.headers["content-type"] == "application/json"
        return json.load(answer)


def test_the_served_document_has_all_of_the_contract(served: dict[str, Any]) -> None:
    found = Comparison(contract(), served).differences()
    unexpected = [difference for difference in found if difference not in INTENDED]
    gone = [difference for difference in INTENDED if difference not in found]
    assert not unexpected, "differences from the contract:\n" + "\n".join(unexpected)
    assert not gone, "no longer differences:\n" + "\n".join(gone)
