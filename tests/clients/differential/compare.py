"""What two walks of a script differ in.

Compared are each line's exit code and standard output, and what both left behind. Before, all that is
another each time is taken out: moments, durations, places of homes. UUIDs must be the same ones in the
same places: the first time that two are found side by side they stand for each other, from then on they
must come together.

A difference has a place, by which differences.py names it:

    exit                    the exit code
    stdout                  what is printed, where it is no JSON
    stdout/rows             how many rows
    stdout/FIELD            a field of a JSON row
    left/PATH               a file in the home, or a table of a database: PATH/TABLE
"""

import itertools
import json
import re
from collections import Counter
from dataclasses import dataclass

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
PASSING = [
    # Build sessions and their layers are named by the folder and by what is in it.
    (re.compile(r"\b(build|layer):[0-9a-f]{16}\b"), r"\1:<hash>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "<moment>"),
    (re.compile(r"\b\d+:\d\d:\d\d(\.\d+)?\b"), "<duration>"),
    (re.compile(r"\b10\.20\d\.\d+\.\d+\b"), "<address of a sandbox>"),
    (re.compile(r'("?\b(?:duration|consumed_\w+|elapsed\w*|cost|uploaded_at|\w+_ms)"? ?[:=] ?)[\d.e-]+'), r"\1<number>"),
]
# Numbers that are others each time, by their names.
NUMBERS = re.compile(
    r"duration|cost|uploaded_at|consumed_.*|elapsed.*|.*_(ms|us|kb|time|usec)|max_rss|mtime"
    # What the kernel counted of a process and of its network.
    r"|page_faults.*|.*_(faults|switches)|block_.*|[rt]x_.*"
)


# The line of what was left behind.
LEFT = "(left behind)"


@dataclass(frozen=True)
class Difference:
    script: str
    line: str
    place: str
    theirs: str
    ours: str


class Pairs:
    """UUIDs of two walks that stand for each other."""

    def __init__(self):
        self.theirs, self.ours = {}, {}

    def match(self, theirs, ours):
        found = [UUID.findall(text) for text in (theirs, ours)]
        if len(found[0]) != len(found[1]):
            return False
        return all(
            self.theirs.setdefault(one, other) == other and self.ours.setdefault(other, one) == one
            for one, other in zip(*found, strict=True)
        )


def differences(script, theirs, ours):
    """All differences of two walks of the same script."""
    pairs = Pairs()
    found = []
    for one, other in zip(theirs.ended, ours.ended, strict=True):
        tell = found_in(found, script, one.text)
        if one.code != other.code:
            tell("exit", told(one), told(other))
        texts = Texts(theirs).read(one.stdout), Texts(ours).read(other.stdout)
        printed(tell, pairs, *map(in_order, texts) if one.any_order else texts)
    for place in sorted(theirs.left.keys() | ours.left.keys()):
        tell = found_in(found, script, LEFT)
        left(
            tell,
            f"left/{place}",
            Texts(theirs).lines(theirs.left.get(place, [])),
            Texts(ours).lines(ours.left.get(place, [])),
        )
    return found


def told(ended):
    """An exit code and, for whoever looks into it, what was said."""
    return f"{ended.code}\n" + ended.stderr.decode("utf-8", "backslashreplace")[-1000:]


def found_in(found, script, line):
    def tell(place, theirs, ours):
        found.append(Difference(script, line, place, str(theirs), str(ours)))

    return tell


class Texts:
    """The texts of a walk, without what is its own."""

    def __init__(self, walk):
        self.own = walk.own

    def read(self, stdout):
        return self.plain(stdout.decode("utf-8", "backslashreplace"))

    def lines(self, lines):
        return [self.plain(line) for line in lines]

    def plain(self, text):
        for own, name in self.own.items():
            text = text.replace(own, name)
        return text


def masked(text):
    for pattern, name in PASSING:
        text = pattern.sub(name, text)
    return text


def nameless(text):
    return UUID.sub("<uuid>", masked(text))


def in_order(text):
    return "\n".join(sorted(text.splitlines(), key=nameless))


def rows(text):
    """JSON rows, or nothing."""
    try:
        values = [json.loads(line) for line in text.splitlines()]
        if values and all(isinstance(value, dict) for value in values):
            return values
    except ValueError:
        pass
    try:
        values = json.loads(text)
    except ValueError:
        return None
    is_rows = isinstance(values, list) and all(isinstance(value, dict) for value in values)
    return values if is_rows else None


def table(lines):
    """Lines; where they are columns below names, without numbers that are others each time."""
    for between in ("  ", "\t", ","):
        names = lines[0].lower().split(between) if lines else []
        passing = {at for at, name in enumerate(names) if NUMBERS.fullmatch(name)}
        if len(names) > 2 and passing:
            rest = [line.split(between) for line in lines[1:]]
            return [lines[0]] + [
                between.join("<number>" if at in passing else cell for at, cell in enumerate(cells))
                for cells in rest
            ]
    return lines


def value(field, content):
    """A value as text, without numbers that are others each time."""

    def without(name, content):
        if name == "resources":
            return "<what it took>"
        if isinstance(content, dict):
            return {key: without(key, inner) for key, inner in content.items()}
        if isinstance(content, list):
            return [without(name, inner) for inner in content]
        is_number = isinstance(content, int | float) and not isinstance(content, bool)
        return "<number>" if is_number and NUMBERS.fullmatch(name) else content

    content = without(field, content)
    return content if isinstance(content, str) else json.dumps(content, sort_keys=True)


def printed(tell, pairs, theirs, ours):
    both = rows(theirs), rows(ours)
    if None in both:
        both_lines = table(theirs.splitlines()), table(ours.splitlines())
        for one, other in itertools.zip_longest(*both_lines, fillvalue=""):
            if nameless(one) != nameless(other) or not pairs.match(one, other):
                tell("stdout", theirs, ours)
                return
        return
    if len(both[0]) != len(both[1]):
        tell("stdout/rows", theirs, ours)
        return
    for one, other in zip(*both, strict=True):
        for field in one.keys() | other.keys():
            if field not in one or field not in other:
                tell(f"stdout/{field}", one.get(field, "absent"), other.get(field, "absent"))
                continue
            texts = value(field, one[field]), value(field, other[field])
            if nameless(texts[0]) != nameless(texts[1]) or not pairs.match(*texts):
                tell(f"stdout/{field}", *texts)


def left(tell, place, theirs, ours):
    """Rows and lines as they are, whatever their order; which UUID is which is lost here."""
    counts = Counter(map(nameless, theirs)), Counter(map(nameless, ours))
    if counts[0] != counts[1]:
        tell(place, "\n".join((counts[0] - counts[1]).elements()),
             "\n".join((counts[1] - counts[0]).elements()))
