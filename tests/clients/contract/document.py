"""The contract: the OpenAPI document that contree-client was generated from.

The package carries it in a docstring. As a program, writes it as JSON.
"""

import copy
import functools
import json
import sys
import textwrap
from typing import Any

import contree_client.spec_info
import yaml


def contract() -> dict[str, Any]:
    """The document, the caller's own."""
    return copy.deepcopy(parsed())


@functools.cache
def parsed() -> dict[str, Any]:
    _, text = contree_client.spec_info.__doc__.split(".. code-block:: yaml\n", 1)
    return yaml.safe_load(textwrap.dedent(text))


if __name__ == "__main__":
    json.dump(contract(), sys.stdout)
