"""What every request passes first, before any of its body is read: who asks, from where, and how much it is."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_OTHER_LIMIT = 2**20


class BodyLimit:
    """Refuses a body that is, or turns out to be, larger than its path's limit (413); nothing more of it is read.

    Args:
        limits: first part of a path, such as "/jobs", to bytes; other paths take 1 MiB.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        head = "/" + scope["path"].strip("/").split("/")[0]
        limit = self._limits.get(head, _OTHER_LIMIT)
        text = f"The body is larger than the {limit / 2**20:g} MiB that are taken here."
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            await JSONResponse({"detail": text}, 413)(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, text)
            return message

        await self._app(scope, counted, send)


class TokensOnly:
    """Refuses strangers (401) while their upload is still on its way.

    Args:
        owners: what ``owner_of`` makes of the tokens.
        heads: first parts of the paths that need a token.
    """

    def __init__(self, app: ASGIApp, owners: Sequence[str], heads: Sequence[str]) -> None:
        self._app, self._owners, self._heads = app, owners, heads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and "/" + scope["path"].strip("/").split("/")[0] in self._heads:
            kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not is_owner(owner_of(token), self._owners):
                text = {"detail": "Show one of the service's tokens."}
                await JSONResponse(text, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


def owner_of(token: str) -> str:
    """The name under which a token's jobs are kept; the token itself is stored nowhere."""
    return hashlib.sha256(token.strip().encode()).hexdigest()[:16]


def is_owner(owner: str, owners: Sequence[str]) -> bool:
    """Is it one of them? Compared with all of them, so that the time taken tells nothing."""
    return sum(hmac.compare_digest(owner, known) for known in owners) > 0


class LocalOnly:
    """Keeps other sites' pages out of a service that asks for no token.

    A page from anywhere can send a form to localhost, or give its own name the address 127.0.0.1; neither knows how to
    hide where it comes from (``Origin``) and what it calls us (``Host``).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if not is_local_name(f"//{headers.get('host', '')}") or (origin is not None and not is_local_name(origin)):
                text = "Without tokens this service serves its own machine only, as localhost; start it with --token."
                await JSONResponse({"detail": text}, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_local_name(url: str) -> bool:
    """Is this the address of the machine itself?"""
    try:
        return urlsplit(url).hostname in LOCAL_NAMES
    except ValueError:
        return False
