"""What ours does in another way than contree-cli 0.9.4, and means to.

Each is a pattern of a script's name, of a command line, of a place (see compare.py), and the reason.
Lines are as they stand in the script; what is left behind has the line "". All that differs must be
listed, and all that is listed must differ.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Intended:
    script: str
    line: str
    place: str
    reason: str

    def is_of(self, difference):
        return (
            fnmatchcase(difference.script, self.script)
            and fnmatchcase(difference.line, self.line)
            and fnmatchcase(difference.place, self.place)
        )


INTENDED = []


def intended(reason, *where):
    """Lists a reason and where it shows: (script, line, place)."""
    INTENDED.extend(Intended(*place, reason) for place in where)
