"""The server's answers without the SDK in between."""

import json
import urllib.request
from typing import Any

from conftest import TOKEN, URL


def ask(path: str, method: str = "GET", body: Any = None) -> Any:
    """The JSON that the server answers; None where there is no body."""
    request = urllib.request.Request(
        f"{URL}/v1{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        content = answer.read()
    return json.loads(content) if content else None
