"""Runs a script with either package in a home that has a profile, and tells what it printed."""

import os
import re
import subprocess
import uuid
from pathlib import Path

from conftest import TOKEN, URL

# By package: the program of the environment that has it. Ours comes last.
PYTHONS = {
    name: os.environ[f"CONTREE_TEST_PYTHON_{name.upper()}"] for name in ("published", "ours")
}
REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]

PROFILE = f"""\
[DEFAULT]
profile = here

[profile:here]
type = jwt
url = {URL}
token = {TOKEN}
"""


def run(
    package: str, home: Path, *words: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python with these words; its output comes back with ids numbered."""
    folder = home / ".config" / "contree"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "auth.ini").write_text(PROFILE)
    done = subprocess.run(
        [PYTHONS[package], *words],
        cwd=home,
        env={
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "MSWEA_SILENT_STARTUP": "1",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    done.stdout = numbered(done.stdout)
    return done


def numbered(text: str) -> str:
    """The text with each id replaced by its number, and without what belongs to this test run."""
    seen: dict[str, str] = {}

    def number(found: re.Match[str]) -> str:
        assert uuid.UUID(found[0])
        return seen.setdefault(found[0], f"<{len(seen) + 1}>")

    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", number, text)
    text = re.sub(r"at 0x[0-9a-f]+", "somewhere", text)
    return text.replace(REGISTRY, "<registry>")
