"""Command `serve`: an HTTP server over a finished run."""

from recbole_intent.cli.options import Asked
from recbole_intent.runs.early import check_finished


def command(asked: Asked) -> int:
    """Serve until the process is asked to stop."""
    check_finished(asked.options["run"])
    from recbole_intent.serve.serve import serve

    serve(**asked.options)
    return 0
