"""``python -m pipeline serve``: the REST service."""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

from pipeline import settings
from pipeline.options import add_options, from_options

DEFAULT_PORT = 8600
TOKENS_VARIABLE = "KINOSCOPE_TOKENS"


def add_service_commands(commands: Any, add: Any) -> None:
    """Put ``serve`` under ``commands``; ``add(commands, name, help, handler, show)`` makes one."""
    from pipeline.service.guard import LOCAL_NAMES
    from pipeline.service.options import ServiceOptions

    command = add(commands, "serve", "the REST service: clips and poses in, answers out", _serve, _show)
    command.add_argument("--host", default=LOCAL_NAMES[1], help="address to listen on (default this machine only)")
    command.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default {DEFAULT_PORT}; 0 takes a free one")
    command.add_argument(
        "--token", action="append", default=[], metavar="TOKEN",
        help=f"who shows it may come in; may be repeated. Better kept in {TOKENS_VARIABLE} (commas between) or a file",
    )  # fmt: skip
    command.add_argument("--token-file", type=Path, default=None, metavar="FILE", help="one token a line")
    add_options(command, ServiceOptions)


def tokens_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The tokens of options, file and environment. Raises ValueError for one that is easily guessed, or OSError."""
    found = list(arguments.token)
    if arguments.token_file is not None:
        found += arguments.token_file.read_text(encoding="utf-8").splitlines()
    found += os.environ.get(TOKENS_VARIABLE, "").split(",")
    tokens = tuple(dict.fromkeys(token.strip() for token in found if token.strip()))
    if any(len(token) < 16 for token in tokens):
        raise ValueError(
            "A token must have at least 16 characters; `python -c 'import secrets; print(secrets.token_urlsafe())'` "
            "makes one."
        )
    return tokens


def _serve(arguments: argparse.Namespace) -> dict[str, Any]:
    import uvicorn

    from pipeline.service.app import create_app
    from pipeline.service.guard import LOCAL_NAMES
    from pipeline.service.options import ServiceOptions

    tokens = tokens_of(arguments)
    if arguments.host not in LOCAL_NAMES and not tokens:
        raise ValueError(
            f"Listening on {arguments.host} lets others in; set a token (--token-file FILE, or {TOKENS_VARIABLE}), "
            "or leave --host away to serve this machine only."
        )
    store = arguments.out or settings.outputs_dir()
    with _listening(arguments.host, arguments.port) as listener:
        app = create_app(store, tokens, from_options(arguments, ServiceOptions))
        shown = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        print(f"Kinoscope's service for {store}: http://{shown}:{listener.getsockname()[1]}/docs", file=sys.stderr)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False))
        with contextlib.suppress(KeyboardInterrupt):  # how it is stopped
            server.run(sockets=[listener])
    return {"stopped": True}


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ValueError when the address cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = str((isinstance(error, OSError) and error.strerror) or error).rstrip(".")
        raise ValueError(
            f"The service cannot listen there: {reason}; choose another --port, or 0 for a free one."
        ) from error


def _show(_result: dict[str, Any]) -> None:
    print("Stopped; what was waiting goes on with the next start.")
