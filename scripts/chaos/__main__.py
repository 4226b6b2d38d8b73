"""`make chaos`: see docs/operations.md. Exits with 1 where a promise did not hold."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import demo
from scripts.chaos import facts, faults, phases, plans, promises
from scripts.chaos.clients import Client, Load
from scripts.chaos.promises import Verdict
from scripts.chaos.quiet import Watch, wait_until_quiet
from scripts.chaos.services import Installation, installed

PHASES = ("fire", "post", "answers", "events", "flood")
SKEW_SECONDS = 300
REPEATS = 3  # of what providers tell, under fire
SAY_SECONDS = 30.0  # between two lines that tell how far a run is
CALM_SECONDS = 350.0  # of a run's time, for its beginning, healing and the phases in calm


@dataclass(frozen=True)
class Size:
    """How large a run is; times in seconds."""

    kills: int
    cases: int
    fire_seconds: float
    heal_seconds: float  # at most
    stuck_seconds: float  # that a row may be due with nobody taking it
    crashes: int
    questions: int
    repeated: int
    reports: int
    flood_seconds: float


# Among all other tests a machine is slow: rows may be due for longer than is promised.
SMALL = Size(4, 16, 6, 300, 180, 1, 1, 2, 20, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a run; the exit status."""
    options = _options(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    began_at = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="offload-chaos-"))
    print(f"seed {seed}: python -m scripts.chaos --seed {seed} repeats this schedule of faults", flush=True)
    try:
        verdicts = carry_out(home, seed, _size(options), options.only)
    except BaseException:
        _keep(home)
        raise
    print(promises.table(verdicts))
    print(f"seed {seed}, {time.monotonic() - began_at:.0f} s")
    is_good = all(verdict.holds for verdict in verdicts)
    if not is_good or options.keep:
        _keep(home)
    shutil.rmtree(home, ignore_errors=True)
    return 0 if is_good else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="of the schedule of faults (default: a new one, which is printed)")
    parser.add_argument("--kills", type=int, default=200, help="processes that are killed (default: 200)")
    parser.add_argument("--cases", type=int, default=1000, help="cases under fire (default: 1000)")
    parser.add_argument("--minutes", type=float, default=15.0, help="of the whole run, about (default: 15)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=PHASES, help=f"of {','.join(PHASES)}")
    parser.add_argument("--quick", action="store_true", help="a small run, that shows only that all of it works")
    parser.add_argument("--keep", action="store_true", help="keep the logs in var/chaos/ even if all promises held")
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(PHASES):
        parser.error(f"there is no phase {', '.join(sorted(unknown))}")
    return options


def _size(options: argparse.Namespace) -> Size:
    if options.quick:
        return SMALL
    fire = max(30.0, 60 * options.minutes - CALM_SECONDS)
    return Size(options.kills, options.cases, fire, 600, 60, 4, 20, 20, 1000, 60)


def _keep(home: Path) -> None:
    kept = demo.ROOT / "var" / "chaos"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(home, kept, ignore=shutil.ignore_patterns("data", "media", "socket"))
    print(f"the logs are in {kept}", flush=True)


def carry_out(home: Path, seed: int, size: Size, only: Sequence[str] = PHASES) -> list[Verdict]:
    """One run in an empty directory; what came of it."""
    skew = SKEW_SECONDS if seed % 2 else -SKEW_SECONDS
    verdicts: list[Verdict] = []
    with installed(home, repeats=REPEATS, skew_seconds=skew) as service:
        _say(f"the clock of one machine is wrong by {skew} s" if service.skew else "no faketime: all clocks are right")
        client = Client(service)
        if "fire" in only:
            verdicts += under_fire(service, seed, size)
        service.post("tell", 1)
        if "post" in only:
            verdicts.append(phases.idempotent_post(service, client, size.crashes))
        if "answers" in only:
            statuses = phases.answers_at_once(service, client, size.questions)
            verdicts.append(promises.one_winner(statuses, calm=True))
        if "events" in only:
            verdicts.append(phases.repeated_and_shuffled(service, client, size.repeated))
        if "flood" in only:
            verdicts.append(phases.flood_of_bounces(service, client, size.reports, size.flood_seconds))
    return verdicts


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def under_fire(service: Installation, seed: int, size: Size) -> list[Verdict]:
    """The load with everything that goes wrong; then peace, and what is left of the promises."""
    drawn = plans.drawn(seed, size.cases)
    load = Load(service, drawn, seed)
    injector = faults.Injector(service, faults.schedule(seed, size.kills, size.fire_seconds))
    try:
        load.start(0.8 * size.fire_seconds)
        injector.start()
        _burn(injector, load, size.fire_seconds)
        watch = Watch(service, size.stuck_seconds)
        seconds = wait_until_quiet(service, watch, size.heal_seconds, load.is_content)
        _say(f"quiet after {seconds:.0f} s; the longest that a row was due meanwhile: {watch.longest_seconds:.0f} s")
        judged = facts.gathered(service, load, drawn, injector.kills, watch)
    finally:
        load.stop()
    missed = [f"{fault.what} at {fault.at:.0f} s found no victim" for fault in injector.missed]
    return [
        promises.nothing_lost(judged),
        promises.one_mail_per_decision(judged, "agentmail"),
        promises.one_mail_per_decision(judged, "email"),
        promises.one_winner(load.answers, calm=False),
        promises.terminal_is_terminal(judged),
        promises.events_arrive(judged),
        Verdict("every fault was carried out", f"{injector.done.total()} of {len(injector.faults)}", tuple(missed)),
    ]


def _burn(injector: faults.Injector, load: Load, seconds: float) -> None:
    """Until the time is over and every fault was carried out; then all is mended."""
    ends_at, say_at = time.monotonic() + seconds, time.monotonic() + SAY_SECONDS
    try:
        while time.monotonic() < ends_at or injector.thread.is_alive():
            time.sleep(0.2)
            if time.monotonic() > say_at:
                _say(f"{injector.kills} kills, {len(load.acknowledged)} cases posted, {len(load.at_their_end)} ended")
                say_at += SAY_SECONDS
    finally:
        injector.stop()
    _say(f"{injector.kills} kills, {len(load.acknowledged)} cases posted, {len(load.at_their_end)} ended")
    _say(", ".join(f"{count} x {what}" for what, count in sorted(injector.done.items())))


if __name__ == "__main__":
    sys.exit(main())
