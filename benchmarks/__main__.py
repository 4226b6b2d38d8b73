"""`make bench`: every benchmark in a process of its own, and at the end all its figures, `name ratio`.

`--only post,get` runs these; `--quick` makes them small, to see that they run: the figures then mean little. A figure
that misses its goal is marked and explained in benchmarks/README.md; the exit status is 1 only where a benchmark could
not be carried out, or where what it counted besides (rows lost or done twice) is not as it must be.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import GOALS

ROOT = Path(__file__).resolve().parent.parent
ALL = ("post_get", "pipeline", "waits", "due", "deliver", "start", "memory", "growth")


def main() -> int:
    """Run them; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default=",".join(ALL), help=f"some of {', '.join(ALL)}")
    parser.add_argument("--quick", action="store_true", help="small ones")
    given = parser.parse_args()
    failed = []
    with tempfile.NamedTemporaryFile("r", prefix="figures-") as figures:
        for name in given.only.split(","):
            began_at = time.monotonic()
            print(f"\n== {name}", flush=True)
            command = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if given.quick else [])]
            if subprocess.run(command, cwd=ROOT, env={**os.environ, GOALS: figures.name}).returncode:
                failed.append(name)
            print(f"   {time.monotonic() - began_at:.0f} s", flush=True)
        print(f"\n{figures.read()}", end="")
    for name in failed:
        print(f"{name} could not be carried out.")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
