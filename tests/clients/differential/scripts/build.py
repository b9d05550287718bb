"""contree build: the same files give the same tree."""

from script import put, script

script(
    "build",
    put("one/Dockerfile", """\
# base
ARG FROM_TAG=tiny:1
FROM tiny:1
ARG WHO=world
ENV GREETING=hello \\
    OTHER="two words"
WORKDIR /srv/app
RUN echo "$GREETING $OTHER" > greeting
COPY a.txt sub/b.txt ./
COPY --chown=5:6 --chmod=0750 sub /srv/sub/
ADD a.txt /srv/renamed
RUN ["/bin/sh", "-c", "echo exec > exec"]
RUN echo ${WHO} > who
"""),
    put("one/a.txt", "a\n"),
    put("one/sub/b.txt", "b\n", 0o600),
    put("one/sub/c.log", "c\n"),
    put("one/.dockerignore", "*.md\nsub/*.log\n"),
    put("one/README.md", "read me\n"),
    "build one --tag built:1 --build-arg WHO=there",
    "use tag:built:1",
    "run -D -s 'cd /srv; stat -c \"%n %u %g %a %s\" app app/* sub sub/* renamed'",
    "run -D -s 'cd /srv/app; cat greeting who exec a.txt b.txt ../sub/b.txt ../renamed'",
    "-o json bd one --tag built:1 --build-arg WHO=there --no-cache -t 60",
    "build none",
    "build one --dockerfile one/none",
    "build one --timeout soon",
)

script(
    "build/wrong",
    put("empty/Dockerfile", ""),
    put("first/Dockerfile", "RUN true\nFROM tiny:1\n"),
    put("unknown/Dockerfile", "FROM tiny:1\nNONSENSE x\n"),
    put("fails/Dockerfile", "FROM tiny:1\nRUN exit 3\n"),
    put("missing/Dockerfile", "FROM tiny:1\nCOPY none /x\nRUN true\n"),
    put("outside/Dockerfile", "FROM tiny:1\nCOPY ../a /x\nRUN true\n"),
    "build empty",
    "build first",
    "build unknown",
    "build fails",
    "build missing",
    "build outside",
    "build .",
)

script(
    "build/stages",
    put("Dockerfile", """\
FROM tiny:1 AS base
RUN mkdir -p /out && echo made > /out/made
FROM tiny:1
COPY --from=base /out/made /made
COPY --from=0 /out /all
RUN cat /made > /read
"""),
    put("other", "FROM tiny:1\nCMD x\nLABEL a=b\nEXPOSE 80\nUSER 0\nRUN id -u > /id\n"),
    "build --tag stages:1",
    "run --use stages:1 -D cat /made /all/made /read",
    "build . --dockerfile other --tag other:1",
    "run --use other:1 -D cat /id",
)
