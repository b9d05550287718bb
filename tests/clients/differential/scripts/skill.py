"""contree skill and contree agent: what is written for agents is each program's own text."""

from script import line, script



script(
    "skill",
    "skill",
    "skill list",
    "skill install codex:~",
    "skill list",
    "-o json skill ls",
    line("skill i claude:proj claude-subagent: opencode:~", any_order=True),
    "skill install claude:proj",
    "skill install -f claude:proj",
    "skill install --force cline:{home}/work/other",
    line("skill install -y nonsense:~", any_order=True),
    line("-o json skill list", any_order=True),
    line("skill upgrade", any_order=True),
    "skill u codex:~",
    line("skill update", any_order=True),
    "skill remove -f codex:~",
    "skill remove --force claude:proj",
    "skill rm -y cline:{home}/work/other",
    "skill r none:~",
    "skill del opencode:~ -f",
    line("-o json skill list", any_order=True),
    is_logged_in=False,
    in_turn=True,
)

script(
    "agent",
    "agent",
    "man",
    "agent core",
    "man core_workflow",
    "agent files_and_directories",
    "agent none",
    "-o json agent profiles",
    is_logged_in=False,
)

script("shell/piped", "use {base}", line("shell", stdin=b"echo hi\n"), line("sh", stdin=b""))
