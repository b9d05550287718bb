"""Every command, alias and option of contree-cli 0.9.4 is in a script, or in a named test elsewhere.

What there is, is asked of contree-cli itself: of the parser that reads its command line.
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


def test_the_table_is_the_one_of_the_scripts(table):
    """COVERAGE.md; UPDATE_GOLDEN=1 writes it anew."""
    lines = [
        "# What is tried of contree-cli 0.9.4's command line, and where",
        "",
        "Every command, alias and option that contree-cli's own parser knows. The scripts are in `scripts/`;",
        "both programs walk them in `test_scripts.py::test_both_do_the_same[SCRIPT]`. `-h` and `--help` of every",
        "command are in `globals/help`. Made by `test_coverage.py`.",
        "",
        "| typed | scripts |",
        "| --- | --- |",
    ]
    for typed, scripts in rows(table):
        # Those about it, where there are such: of most options there are many.
        command = typed.split()[1].split("/")[0]
        about = [script for script in scripts if script.split("/")[0].startswith(command)]
        lines.append(f"| `{typed}` | {', '.join((about or scripts)[:3])} |")
    text = "\n".join(lines) + "\n"
    golden = Path(__file__).with_name("COVERAGE.md")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text, "COVERAGE.md is not what the scripts try; UPDATE_GOLDEN=1 writes it"


def rows(table):
    """All spellings of a thing in one row."""
    from contree_cli.arguments import parser

    spellings = {}
    for path, name in table:
        command = parser
        for word in path:
            command = below(command)[word]
        what = command._option_string_actions.get(name) or below(command).get(name)
        spellings.setdefault((path, id(what)), []).append(name)
    for (path, _), names in spellings.items():
        if "--help" in names:
            continue
        scripts = [script for name in names for script in table[path, name]]
        scripts += [place for name in names if (place := elsewhere(path, name))]
        yield " ".join(("contree", *path, "/".join(names))), list(dict.fromkeys(scripts))
