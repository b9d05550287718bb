"""Every public name of the published package has a counterpart in ours that can be used alike."""

import json
import os
import subprocess
from pathlib import Path

NAMES = Path(__file__).with_name("names.py")
PUBLISHED = os.environ["CONTREE_TEST_PYTHON_PUBLISHED"]
OURS = os.environ["CONTREE_TEST_PYTHON_OURS"]


def run(python: str, folder: Path, *args: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, str(NAMES), *map(str, args)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_public_name_has_a_counterpart(tmp_path, capsys):
    listed = {}
    for name, python in (("published", PUBLISHED), ("ours", OURS)):
        done = run(python, tmp_path)
        assert done.returncode == 0, done.stderr
        listed[name] = tmp_path / f"{name}.json"
        listed[name].write_text(done.stdout)
    assert len(json.loads(listed["published"].read_text())) > 300
    table = run(OURS, tmp_path, listed["published"], listed["ours"])
    *rows, closing = table.stdout.strip().splitlines()
    with capsys.disabled():
        print(f"\nPublic names of the published package: {closing}")
    assert table.returncode == 0, [row for row in rows if "| ! " in row]
