"""Time kept in a thread of its own, for programs that embed a scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager


def keep_in_thread(
    keep_time: Callable[[], AbstractAsyncContextManager[asyncio.Future[None]]], ready: Future[None]
) -> None:
    """Keep time until it is over. `ready` is told when it has begun, or what kept it from that."""

    async def keep() -> None:
        async with keep_time() as drained:
            ready.set_result(None)
            await drained

    try:
        asyncio.run(keep())
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)
