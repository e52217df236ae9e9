"""The `serve` command: an HTTP server over a finished run."""

import ipaddress
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_intent.recommend.recommender import Recommender
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.printable import say

_CONNECTIONS = 512  # further ones are answered with 503
_GRACE = 30  # seconds that requests get to finish when the server stops


def serve(
    run: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    history: str = "all",
    **conditions: Any,
) -> None:
    """Serve a finished run until Ctrl-C or SIGTERM, then finish the requests in flight.

    Args:
        run: the run's folder.
        host: address to listen at; the default is reached from this machine alone.
        port: 0 for any free one.
        history: interactions that form a user's history: `train`, `valid` or `all`.
        conditions: see `Recommender.load`.

    Raises:
        UserError: FastAPI is missing, the address is not free, or not a finished run.
    """
    try:
        import uvicorn

        from recbole_intent.serve.app import application
    except ImportError as error:
        if error.name not in ("fastapi", "fastapi_offline", "starlette", "uvicorn"):
            raise
        raise UserError(
            f"serve: {error.name} is not installed (extra serve): "
            "pip install fastapi fastapi-offline uvicorn"
        ) from error
    with _listening(host, port) as listener:
        recommender = Recommender.load(run, history=history, **conditions)
        server = uvicorn.Server(
            uvicorn.Config(
                application(recommender, Path(run).name),
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=_CONNECTIONS,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        bound = listener.getsockname()[1]
        address = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
        say(f"{recommender.config['model']} at {address} (its pages: {address}/docs; Ctrl-C stops)",
            flush=True)  # fmt: skip
        with _stopping_quietly():
            server.run(sockets=[listener])
    say("stopped")


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind the address before the model is loaded, so that a mistake is answered at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"--host={host} --port={port}: {reason}; choose another") from error
    with listener:
        if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
            logging.getLogger("recbole_intent").warning(
                "--host=%s: whoever reaches this address may ask; there is no password", host
            )
        yield listener


@contextmanager
def _stopping_quietly() -> Iterator[None]:
    """Let uvicorn, which raises the signal again after a graceful stop, return instead."""
    signals = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(one, lambda *_: None) for one in signals]
    try:
        yield
    finally:
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)
