"""Projects and tokens of a test's own, made through the server's admin routes.

The published clients know no such routes: an operator makes tokens, their users get them.
"""

import json
import urllib.request
from typing import Any

from conftest import TOKEN, URL


def _post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{URL}/v1/admin/{path}",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def make_project(name: str) -> str:
    """A new project; returns its name."""
    return _post("projects", {"name": name})["name"]


def make_token(project: str | None = None, **fields: Any) -> str:
    """The text of a new token, for a project unless the fields say otherwise."""
    return _post("tokens", {"project": project, **fields})["token"]
