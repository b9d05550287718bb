"""Three ways to make a client, and what its token may do."""

import asyncio
import os

from contree_sdk import Contree
from contree_sdk.auth import JWTAuth
from contree_sdk.config import ContreeConfig


async def main() -> None:
    # From the profile that `contree auth` saved.
    client = Contree()
    info = await client.get_token_info()
    print("may run:", info.permissions["spawn"])
    print("longest run:", info.limits["instance_max_timeout"], "s")

    # From values of one's own.
    auth = client.config.auth
    short = Contree(base_url=auth.base_url, token=auth.token)
    print("same token:", (await short.get_token_info()).token_uuid == info.token_uuid)

    # With settings. A value that names an environment variable stands for the variable's value.
    os.environ["MY_CONTREE_TOKEN"] = auth.token
    config = ContreeConfig(
        auth=JWTAuth(token="MY_CONTREE_TOKEN", base_url=auth.base_url),
        operation_timeout=60,
        default_truncate_output_at=1024 * 1024,
    )
    third = Contree(config)
    print("same token:", (await third.get_token_info()).token_uuid == info.token_uuid)


asyncio.run(main())
