"""`contree build`: Dockerfiles, built from runs of the server and attached files."""

import os

import pytest

REGISTRY = os.environ["CONTREE_TEST_REGISTRY"]

DOCKERFILE = """\
# syntax comments are skipped
ARG BASE=debian:bookworm
FROM ${BASE} AS builder
ARG VERSION=0
ENV GREETING="hello" TARGET=world
WORKDIR /build
COPY src/ ./src/
RUN cat src/a.txt src/deep/b.txt > joined && \\
    echo "version $VERSION" >> joined
RUN ["/bin/sh", "-c", "echo $GREETING $TARGET >> joined"]
COPY --chown=12:34 --chmod=0750 tool /usr/local/bin/

FROM debian:bookworm
LABEL maintainer="skipped with a warning"
COPY --from=builder /build/joined /opt/
COPY --from=0 --chown=7:8 /build/src /opt/src
COPY --from=builder /usr/local/bin/tool /usr/local/bin/tool
USER nobody
RUN id -un > /tmp/who
CMD ["ignored"]
"""


@pytest.fixture
def context(tmp_path):
    """A build context."""
    folder = tmp_path / "context"
    for name, text in {
        "Dockerfile": DOCKERFILE,
        "src/a.txt": "a\n",
        "src/deep/b.txt": "b\n",
        "src/skipped.tmp": "not copied\n",
        ".dockerignore": "# comment\n**/*.tmp\n!keep.tmp\n",
        "tool": "#!/bin/sh\necho tool\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_dockerfile_of_two_stages(contree, context):
    build = ("build", context, "--build-arg", "VERSION=1.2", "--tag", "built/app:1")
    ended = contree("-o", "json", *build)
    (row,) = [row for row in ended.rows]
    assert row["tag"] == "built/app:1" and row["session"].startswith("build:")
    assert "LABEL" in ended.told and "CMD" in ended.told

    contree("use", "tag:built/app:1")
    assert contree.image() == row["image"]
    assert contree("cat", "/opt/joined").text == "a\nb\nversion 1.2\nhello world\n"
    assert contree("cat", "/tmp/who").text == "nobody\n"
    found = contree("run", "-D", "-s", "--", "tool; cd /opt/src; find . -type f -printf '%P %U:%G\n'")
    assert sorted(found.text.splitlines()) == ["a.txt 7:8", "deep/b.txt 7:8", "tool"]
    entries = {row["path"].rsplit("/")[-1]: row for row in contree.rows("ls", "/usr/local/bin")}
    tool = entries["tool"]
    assert (tool["uid"], tool["gid"], tool["mode"]) == (12, 34, "100750")
    # Nothing is left of how it came there.
    assert not [row for row in contree.rows("ls", "/") if ".contree-build" in row["path"]]


def test_what_was_built_before_is_not_built_again(contree, context):
    (context / "Dockerfile").write_text(
        "FROM debian:bookworm\nCOPY src/a.txt /a\nRUN date +%N > /when\nRUN :\n"
    )
    first = contree("-o", "json", "build", context)
    again = contree("-o", "json", "build", context)
    assert again.rows[0]["image"] == first.rows[0]["image"]
    assert "CACHED" in again.told and "CACHED" not in first.told
    anew = contree("-o", "json", "build", context, "--no-cache")
    assert anew.rows[0]["image"] != first.rows[0]["image"]
    (context / "src/a.txt").write_text("changed\n")
    changed = contree("-o", "json", "build", context)
    contree("use", changed.rows[0]["image"])
    assert contree("cat", "/a").text == "changed\n"


def test_a_base_comes_from_a_registry(contree, context):
    reference = f"{REGISTRY}/team/tiny:1"
    other = context / "Dockerfile.other"
    other.write_text(f"FROM {reference}\nADD tool /opt/\n")
    row = contree.row("build", context, "--dockerfile", other)
    assert contree("run", "--use", row["image"], "-D", "-s", "--", "echo $FLAVOUR; ls /opt").text == (
        "sour\ntool\n"
    )
    # It is known by that name from now on.
    assert contree.row("images", "--prefix", reference)["tag"] == reference


def test_a_build_that_cannot_be_done_fails(contree, context):
    dockerfile = context / "Dockerfile"
    for text, told in {
        "RUN true\n": "FROM",
        "FROM debian:bookworm\nRUN echo oops >&2; exit 3\n": "code 3",
        "FROM debian:bookworm\nCOPY ../outside /\n": "build failed",
        "FROM debian:bookworm\nCOPY --from=debian:bookworm /absent /\n": "not found",
        f"FROM {REGISTRY}/team/absent:1\n": "FAILED",
    }.items():
        dockerfile.write_text(text)
        assert told in contree("build", context, code=1).told, text
