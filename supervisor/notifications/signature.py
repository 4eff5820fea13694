"""Signatures of webhooks as Standard Webhooks has them: a receiver can tell who sent it, when, and a repeat."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from supervisor.errors import InvalidError

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""Of a key, as the specification has it."""


def key_of(value: str) -> bytes:
    """The key that is written so. Raises InvalidError, in words without any of it."""
    text = value.strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise InvalidError(
            f"The key that signs webhooks is not {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in base64. "
            'Make one with: printf whsec_%s "$(openssl rand -base64 32)"'
        )
    return key


def headers(delivery_id: str, timestamp: int, body: bytes, key: bytes | None) -> dict[str, str]:
    """`webhook-id`, the same in every try; `webhook-timestamp`, Unix seconds of this one; and, with a key, what it
    signs: both and the body."""
    found = {"webhook-id": delivery_id, "webhook-timestamp": str(timestamp)}
    if key is not None:
        signed = b".".join((delivery_id.encode("ascii"), str(timestamp).encode("ascii"), body))
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        found["webhook-signature"] = f"v1,{base64.b64encode(digest).decode('ascii')}"
    return found
