"""Command `leaderboard`: all finished runs, one table per dataset and protocol."""

from pathlib import Path

from recbole_intent.cli.options import Asked
from recbole_intent.runs.early import check_board
from recbole_intent.utils.printable import say


def command(asked: Asked) -> int:
    """Write the leaderboard and print its tables."""
    folders = asked.options.get("runs", ["saved"])
    output = asked.options.get("output", "leaderboard.md")
    check_board(folders, output)
    from recbole_intent.compare.leaderboard import leaderboard

    for table in leaderboard(folders, output):
        say(table.text(), lines=True)
    say(f"leaderboard: {output}, as a page: {Path(output).with_suffix('.html')}")
    return 0
