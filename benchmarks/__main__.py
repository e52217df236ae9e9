"""`make bench`: every benchmark, one after the other."""

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
    """Run each in a process of its own, so that none starts with another's memory.

    Returns 1 where one was over a limit of its own, after all have run.
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
