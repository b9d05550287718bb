"""Listing, naming and importing images."""

import os

from person import finished

REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]


def test_images_are_listed_by_name_age_and_uuid(steps):
    contree, (_, one, two) = steps
    tagged = {row["tag"]: row["uuid"] for row in contree.rows("images")}
    assert "debian:bookworm" in tagged and two not in tagged.values()
    row = contree.row("images", "list", "-a", "-i", one)
    assert not row["tag"] and row["operation_uuid"]
    contree("tag", "listed/app:1")
    header, line = contree("-o", "csv", "images", "--prefix", "listed", "--since", "1h").text.split()
    assert header == "uuid,tag,created_at,operation_uuid"
    assert line.startswith(f"{two},listed/app:1,")
    assert contree.rows("images", "-a", "--until", "2020-01-01") == []
    ended = contree("-o", "json", "images", "-a", "--limit", "1")
    assert len(ended.rows) == 1 and "--limit=1" in ended.told


def test_a_name_moves_and_is_taken_away(steps):
    contree, (_, one, two) = steps
    contree("tag", one, "moved")
    contree("tag", "moved")
    contree("tag", "tag:moved", "moved/again:2")
    assert contree.row("images", "--prefix", "moved/again")["uuid"] == two
    contree("tag", "-U", "moved")
    assert "404" in contree("tag", "-U", "moved", code=1).told
    contree("tag", "--delete", two, "moved/again:2")
    assert contree.rows("images", "--prefix", "moved") == []
    assert "400" in contree("tag", two, "with space", code=1).told


def test_images_come_from_registries(imports, debian):
    ended = finished(imports, code=1)
    assert len(ended.rows) == 4
    (failed,) = [row for row in ended.rows if row["status"] != "SUCCESS"]
    assert failed["registry_url"] == f"docker://{REGISTRY}/team/absent:1"
    assert failed["status"] == "FAILED" and failed["error"] and not failed["image"]
    tags = {row["tag"]: row["uuid"] for row in debian.rows("images")}
    # The host is no part of the name that the program gives.
    assert tags["imported/named"] == tags["team/tiny:1"] != tags["team/tiny:2"]
    # The image brings its environment.
    ended = debian("run", "--use", "team/tiny:2", "-D", "printenv", "FLAVOUR")
    assert ended.text == "sweet\n"
