"""`make bench`: every benchmark, one after the other."""

import subprocess
import sys

BENCHMARKS = ("sequences", "losses", "prepare", "recommend", "enrich", "label_refresh")


def main() -> None:
    """Run each in a process of its own, so that none starts with another's memory."""
    for name in BENCHMARKS:
        print(f"\n## benchmarks.{name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
