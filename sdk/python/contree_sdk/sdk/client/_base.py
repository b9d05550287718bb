"""What both forms of clients have in common."""

from __future__ import annotations

import logging
import platform
from dataclasses import fields, replace
from datetime import timedelta
from math import isfinite
from time import time
from typing import Any

from contree_sdk import _native
from contree_sdk._version import __version__
from contree_sdk.auth import Auth, IAMAuth
from contree_sdk.config import ContreeConfig
from contree_sdk.sdk.exceptions import ApiStatusCodeError, ContreeTransportError
from contree_sdk.utils.models.auth import WhoAmI

logger = logging.getLogger(__name__)

_UNBOUNDED = 1e9
"""Seconds that nobody waits to the end."""


class ClientBase:
    """Settings, and the connection that everything made by this client shares."""

    def __init__(
        self,
        config: ContreeConfig | None = None,
        *,
        base_url: str | None = None,
        token: str | None = None,
    ) -> None:
        """Nothing is sent yet. Without arguments: the environment (`NEBIUS_API_KEY`,
        `NEBIUS_PROJECT_ID`), else the profile that `contree auth` has written.

        Args:
            config: All settings.
            base_url: The server's URL, for an `IAMAuth`; not together with `config`.
            token: The token, for an `IAMAuth`; not together with `config`.

        Raises:
            ValueError: `config` together with `base_url` or `token`.
        """
        shorthand = {"token": token, "base_url": base_url}
        given = {name: value for name, value in shorthand.items() if value is not None}
        if config is None:
            config = ContreeConfig(auth=replace(IAMAuth(), **given))
        elif given:
            raise ValueError(
                f"{next(iter(given))} must be passed via config when config is provided"
            )
        self._config = replace(config, auth=config.auth.resolve())
        self._native: _native.Client | None = None
        self._token_info: WhoAmI | None = None

    @property
    def config(self) -> ContreeConfig:
        """The settings, with what environment and profile gave."""
        return self._config

    @property
    def _core(self) -> _native.Client:
        """The native client, made when it is first needed."""
        if self._native is None:
            self._native = self._connect()
        return self._native

    def _connect(self) -> _native.Client:
        config = self._config
        auth = config.auth
        headers = auth.get_headers()
        unresolved = _unresolved(auth)
        if "base_url" in unresolved:
            raise ContreeTransportError(
                error=f"no URL of a server: pass base_url, set {auth.base_url}, or log in with "
                "`contree auth`"
            )
        if "token" in unresolved and any(auth.token in value for value in headers.values()):
            raise ApiStatusCodeError(
                status=401,
                error=f"no token: pass one to {type(auth).__name__}(token=…), set "
                f"{auth.token}, or log in with `contree auth` (CONTREE_PROFILE chooses a profile)",
            )
        timeout = config.transport_timeout
        return _native.Client(
            base_url=auth.base_url,
            headers=list(headers.items()),
            user_agent=f"contree-sdk/{__version__} python/{platform.python_version()} "
            f"{platform.system()}/{platform.release()}",
            timeout=timeout if timeout is not None and isfinite(timeout) else _UNBOUNDED,
            retries=config.transport_retries,
            busy_timeout=config.operation_run_timeout or config.operation_timeout,
        )

    def __getstate__(self) -> dict[str, Any]:
        """For `pickle` and `copy.deepcopy`: a copy makes connections of its own."""
        return {**self.__dict__, "_native": None}

    async def _get_token_info(self, refresh: bool) -> WhoAmI:
        if refresh or self._token_info is None:
            answer = await self._core.whoami()
            known = {field.name for field in fields(WhoAmI)}
            self._token_info = WhoAmI(**{k: v for k, v in answer.items() if k in known})
            self._warn_if_ending(self._token_info)
        return self._token_info

    def _warn_if_ending(self, info: WhoAmI) -> None:
        if info.token_expiration is None:
            return
        left = timedelta(seconds=info.token_expiration - time())
        if left < self._config.token_expiration_warning_threshold:
            logger.warning("Token expires in %.0f hours", left.total_seconds() / 3600)

    def _warn_if_beyond(self, timeout: float, limit: str) -> None:
        """Once the token's limits are known, timeouts beyond them are warned of."""
        most = None if self._token_info is None else self._token_info.limits.get(limit)
        if most is not None and timeout > most:
            logger.warning("Timeout %.0fs exceeds %s=%s", timeout, limit, most)

    def __repr__(self) -> str:
        auth = self._config.auth
        project = f", project={auth.project_id!r}" if isinstance(auth, IAMAuth) else ""
        return f"{type(self).__name__}(url={auth.base_url!r}{project})"


def _unresolved(auth: object) -> list[str]:
    """What is no `Auth` tells no more of itself than its URL and its headers."""
    return auth._unresolved() if isinstance(auth, Auth) else []
