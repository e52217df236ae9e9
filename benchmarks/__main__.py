"""Runs all benchmarks one after another (`make bench`)."""

import subprocess
import sys

BENCHMARKS = (
    "sequences",
    "losses",
    "prepare",
    "recommend",
    "enrich",
    "label_refresh",
    "lightgcn",
    "trie_decoding",
    "text_vectors",
)


def main() -> int:
    """Run each benchmark in its own process, so that none starts with another's memory.

    Returns 1, after all have run, if one exceeded a limit.
    """
    over = []
    for name in BENCHMARKS:
        print(f"\n## benchmarks.{name}\n", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode:
            over.append(name)
    if over:
        print(f"\nfailed, or over a limit: {', '.join(over)}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
