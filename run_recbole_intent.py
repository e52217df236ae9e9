"""Run a command of recbole_intent from a checkout: `python run_recbole_intent.py --help`."""

import sys

from recbole_intent.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
