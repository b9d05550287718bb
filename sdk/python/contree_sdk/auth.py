"""Who is asking, and which server: [`IAMAuth`] and [`JWTAuth`].

Every field is a value, or the name of an environment variable that has it. What a field gets is,
in this order: the value that was given; the environment variable; where nothing was given, the
profile that `contree auth` has written (`auth.ini`, see `CONTREE_PROFILE`, `CONTREE_HOME` and
`XDG_CONFIG_HOME`).
"""

from __future__ import annotations

import logging
import os
from dataclasses import MISSING, dataclass, fields, replace
from typing import ClassVar, TypeVar

from contree_sdk._profiles import read_profile

logger = logging.getLogger(__name__)

_A = TypeVar("_A", bound="Auth")


@dataclass
class Auth:
    """What the two kinds have in common."""

    base_url: str = "CONTREE_BASE_URL"
    """The server's URL, or the environment variable that has it."""

    _profile_keys: ClassVar[dict[str, str]] = {"base_url": "url"}

    def resolve(self: _A) -> _A:
        """A copy in which environment and profile are filled in. What is found nowhere stays."""
        profile = read_profile()
        found: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and value in os.environ:
                logger.info("%s comes from the environment variable %s", field.name, value)
                found[field.name] = os.environ[value]
            elif profile is not None and field.default is not MISSING and value == field.default:
                key = self._profile_keys.get(field.name, field.name)
                if of_profile := getattr(profile, key, None):
                    logger.info("%s comes from auth.ini", field.name)
                    found[field.name] = of_profile
        return replace(self, **found)

    def get_headers(self) -> dict[str, str]:
        """The headers that say who is asking."""
        raise NotImplementedError

    def _unresolved(self) -> list[str]:
        """Fields that are still the name of a variable, which is not set."""
        return [
            field.name
            for field in fields(self)
            if getattr(self, field.name) == field.default and "://" not in str(field.default)
        ]

    def __repr__(self) -> str:
        """Without the token."""
        shown = ", ".join(
            f"{field.name}={'…' if field.name == 'token' else repr(getattr(self, field.name))}"
            for field in fields(self)
        )
        return f"{type(self).__name__}({shown})"


@dataclass(repr=False)
class JWTAuth(Auth):
    """A token alone: for servers of one's own."""

    token: str = "CONTREE_TOKEN"
    """The token, or the environment variable that has it."""
    base_url: str = "CONTREE_BASE_URL"
    """The server's URL, or the environment variable that has it."""

    def get_headers(self) -> dict[str, str]:
        """`Authorization`."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(repr=False)
class IAMAuth(Auth):
    """A token and a project: for the hosted service, and for tokens of all projects."""

    token: str = "NEBIUS_API_KEY"
    """The token, or the environment variable that has it."""
    project_id: str = "NEBIUS_PROJECT_ID"
    """The project, or the environment variable that has it."""
    base_url: str = "https://api.tokenfactory.nebius.com/sandboxes/"
    """The server's URL, or the environment variable that has it."""

    _profile_keys: ClassVar[dict[str, str]] = {"project_id": "project", "base_url": "url"}

    def get_headers(self) -> dict[str, str]:
        """`Authorization` and `Project`."""
        return {"Authorization": f"Bearer {self.token}", "Project": self.project_id}
