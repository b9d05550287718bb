"""Settings of a client."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from contree_sdk.auth import IAMAuth, JWTAuth

logger = logging.getLogger(__name__)


@dataclass
class ContreeConfig:
    """Settings of a client. Times are in seconds, sizes in bytes."""

    auth: IAMAuth | JWTAuth = field(default_factory=IAMAuth)
    """Who is asking, and which server."""

    transport_timeout: float | None = 10.0
    """How long an answer, or the next byte of one, may take; None: as long as it likes."""

    file_upload_chunk_size: int = 1024 * 1024
    """Has no effect: files are read in pieces of a fixed size. Here for code that sets it."""

    operation_import_timeout: float | None = None
    """How long an import may take when it does not say; None: `operation_timeout`."""
    operation_run_timeout: float | None = None
    """How long a run may take when it does not say; None: `operation_timeout`."""
    operation_timeout: float = 1000.0
    """How long a run or an import may take when nothing else is said."""
    operation_poll_secs_min: float = 0.1
    """Has no effect, nor have the next three: ends are heard of as they happen, nobody asks again
    and again. Here for code that sets it."""
    operation_poll_secs_max: float = 10.0
    """Has no effect."""
    operation_poll_secs_backoff_grow: float = 1.75
    """Has no effect."""
    operation_poll_not_found_limit: int = 10
    """Has no effect."""

    default_truncate_output_at: int = 65535
    """Bytes of stdout and of stderr that are kept of a run that does not say."""

    token_expiration_warning_threshold: timedelta = field(
        default_factory=lambda: timedelta(hours=24)
    )
    """How long before its end a token is warned of in the log."""

    images_list_batch_size: int = 100
    """Images that are asked for at once."""

    transport_retries: int = 4
    """How often a request that may be repeated is sent again after a failure of the transport, 429
    or 5xx; 4 are spread over about 4 seconds. Runs and imports are never started twice."""
