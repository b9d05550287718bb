"""Profiles that `contree auth` has written: `auth.ini`."""

from __future__ import annotations

import logging
import os
from configparser import ConfigParser, Error
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profile:
    """Who someone is, on which server."""

    token: str | None = None
    url: str | None = None
    project: str | None = None


def folder() -> Path:
    """`$CONTREE_HOME`, else `$XDG_CONFIG_HOME/contree`, else `~/.config/contree`."""
    if home := os.environ.get("CONTREE_HOME"):
        return Path(home)
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "contree"


def read_profile() -> Profile | None:
    """The profile of `$CONTREE_PROFILE`, else the file's own choice, else `default`.

    None when there is no such file or profile. A file that cannot be read, and a profile that was
    asked for by name and is not there, are warned of in the log.
    """
    path = folder() / "auth.ini"
    # Tokens may have `%` in them: nothing is filled in.
    parser = ConfigParser(interpolation=None)
    try:
        if not path.is_file():
            return None
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (OSError, UnicodeDecodeError, Error) as error:
        logger.warning("Failed to read %s: %s", path, error)
        return None
    asked = os.environ.get("CONTREE_PROFILE")
    name = asked or parser.defaults().get("profile", "default")
    section = f"profile:{name}"
    if not parser.has_section(section):
        known = [other.removeprefix("profile:") for other in parser.sections()]
        log = logger.warning if asked else logger.debug
        log("No profile %r in %s; it has: %s", name, path, ", ".join(known) or "none")
        return None
    values = parser[section]
    return Profile(values.get("token"), values.get("url"), values.get("project"))
