"""Both programs do the same, but for what differences.py lists."""

from differences import INTENDED


def test_both_do_the_same(walked):
    script, unlisted = walked
    shown = "\n".join(
        f"{way}: contree {found.line or '(left behind)'}\n  {found.place}\n"
        f"  contree-cli: {found.theirs}\n  ours:        {found.ours}"
        for way, found in unlisted
    )
    assert not unlisted, f"{script.name} differs:\n{shown}"


def test_what_is_listed_still_differs(request, told):
    """Stands behind the others: it needs all scripts."""
    from script import ALL

    if told["scripts"] < len(ALL):
        return
    gone = [entry for entry in INTENDED if entry not in told["used"]]
    assert not gone, f"no longer different: {gone}"
