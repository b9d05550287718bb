"""Every command, alias and option of contree-cli 0.9.4 is in a script, or in a named test elsewhere.

What there is, is asked of contree-cli itself: of the parser that reads its command line.
`CONTREE_TEST_TABLE=PATH` writes the table of it.
"""

import argparse
import os
import shlex
from pathlib import Path

import pytest
from elsewhere import ELSEWHERE
from script import ALL


def below(parser):
    """The parsers of a command's subcommands, by all their names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices
    return {}


def names(parser, path=()):
    """All that can be typed: (command, name of a subcommand or option)."""
    for action in parser._actions:
        if action.option_strings:
            for option in action.option_strings:
                yield path, option
    seen = {}
    for name, command in below(parser).items():
        yield path, name
        first = seen.setdefault(id(command), name)
        if first == name:
            yield from names(command, (*path, name))


def used(parser, words):
    """What of it a command line uses."""
    path, rest = (), list(words)
    options = parser._option_string_actions
    while rest:
        word = rest.pop(0)
        if word == "--":
            return
        name, _, value = word.partition("=")
        if not word.startswith("--") and word.startswith("-") and word not in options:
            name, value = word[:2], word[2:]
        if name in options:
            yield path, name
            takes = options[name].nargs
            if takes == "+":
                while rest and not rest[0].startswith("-"):
                    rest.pop(0)
            elif takes is None and not value:
                rest[:1] = []
        elif not word.startswith("-"):
            commands = below(parser)
            if word not in commands:
                if any(action.nargs == argparse.REMAINDER for action in parser._actions):
                    return
                continue
            yield path, word
            parser = commands[word]
            first = next(name for name, command in commands.items() if command is parser)
            path, options = (*path, first), parser._option_string_actions


@pytest.fixture(scope="module")
def table():
    """The scripts of each name that can be typed."""
    from contree_cli.arguments import parser

    there = {name: [] for name in names(parser)}
    for script in ALL:
        for line in script.lines():
            if line.is_shell:
                continue
            for name in used(parser, shlex.split(line.text)):
                if script.name not in there[name]:
                    there[name].append(script.name)
    return there


def test_all_that_can_be_typed_is_tried(table):
    missing = [
        " ".join(("contree", *path, name))
        for (path, name), scripts in table.items()
        if not scripts and not elsewhere(path, name)
    ]
    assert not missing, "in no script and not in elsewhere.py:\n" + "\n".join(missing)


def test_what_is_elsewhere_is_there():
    root = Path(__file__).parents[3]
    for place in set(ELSEWHERE.values()):
        file, _, test = place.partition("::")
        assert f"fn {test}(" in (root / file).read_text(), f"there is no test {place}"


def elsewhere(path, name):
    """The test outside of the scripts: of the name itself, else of its command."""
    whole = " ".join((*path, name))
    for end in range(len(path), -1, -1):
        found = ELSEWHERE.get(whole) or ELSEWHERE.get(" ".join((*path[:end], "*")))
        if found:
            return found
    return None


def test_the_table_is_written(table):
    target = os.environ.get("CONTREE_TEST_TABLE")
    if not target:
        pytest.skip("CONTREE_TEST_TABLE is not set")
    lines = ["| typed | scripts |", "| --- | --- |"]
    for (path, name), scripts in table.items():
        typed = " ".join(("contree", *path, name))
        where = [f"test_scripts.py::test_both_do_the_same[{script}]" for script in scripts[:3]]
        other = elsewhere(path, name)
        lines.append(f"| `{typed}` | {', '.join(where + ([other] if other else []))} |")
    Path(target).write_text("\n".join(lines) + "\n")
