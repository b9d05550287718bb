"""Both programs do the same, but for what differences.py lists."""

import pytest
from differences import INTENDED
from script import ALL


def test_both_do_the_same(walked):
    script, unlisted = walked
    ways = {}
    for way, found in unlisted:
        ways.setdefault((found.line, found.place), []).append((way, found))
    if ways:
        pytest.fail("\n".join(map(shown, ways.values())), pytrace=False)


def shown(alike):
    way, found = alike[0]
    ways = ", ".join(way for way, _ in alike)
    return f"contree {found.line}\n  {found.place} ({ways})\n  - {found.theirs}\n  + {found.ours}"


def test_what_is_listed_still_differs(told):
    """Stands behind the others: it needs all scripts."""
    if told["scripts"] < len(ALL):
        pytest.skip("not all scripts were walked")
    gone = [entry for entry in INTENDED if entry not in told["used"]]
    assert not gone, f"no longer different: {gone}"
