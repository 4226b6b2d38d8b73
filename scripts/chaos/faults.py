"""What goes wrong, and when: a schedule that follows from the seed alone, and how each fault is carried out."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scripts.chaos import processes
from scripts.chaos.outside import OUTAGES
from scripts.chaos.services import Installation
from scripts.chaos.units import Unit

KILLS = {  # what is killed, and how often it is chosen
    "worker's process": 38,  # a worker, the monitor, the pusher or the sentinel of a cluster
    "first process of a cluster": 7,
    "whole cluster": 7,
    "supervisor": 7,
    "web process": 12,
    "web server": 6,
    "clock": 6,
    "mail door": 3,
    "database": 4,
    "database backend": 4,
    "broker": 4,
}
OTHERS = {  # per kill
    "broker emptied": 0.06,
    "mail outage": 0.06,
    "model outage": 0.04,
    "receiver outage": 0.04,
    "disk full": 0.02,
}
OUTAGE_SECONDS = (2.0, 6.0)
VICTIM_SECONDS = 20.0  # how long one is waited for: what was killed before has to come to life


@dataclass(frozen=True)
class Fault:
    """One fault, `at` seconds after the load has begun; `choice`, from 0 to 1, picks among its victims and ways."""

    at: float
    what: str
    choice: float


def schedule(seed: int, kills: int, seconds: float) -> list[Fault]:
    """So many kills within the time, and other faults among them; each kind at least once where there is room."""
    dice = random.Random(f"faults {seed}")
    names, weights = list(KILLS), list(KILLS.values())
    first = dice.sample(names, min(kills, len(names)))
    chosen = first + dice.choices(names, weights, k=kills - len(first))
    for name, share in OTHERS.items():
        chosen += [name] * max(1, round(kills * share))
    dice.shuffle(chosen)
    return sorted((Fault(dice.uniform(0, seconds), what, dice.random()) for what in chosen), key=lambda one: one.at)


def pick(choice: float, among: list[int]) -> list[int]:
    return [among[int(choice * len(among))]] if among else []


def _leads_cluster(pid: int) -> bool:
    """Whether it is a worker's fork with a process group of its own."""
    try:
        return "manage.py worker" in processes.command_of(pid) and os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


class Injector:
    """Carries out a schedule in a thread, and counts what was really done."""

    def __init__(self, installation: Installation, faults: list[Fault]) -> None:
        self.service, self.faults = installation, faults
        self.done: Counter[str] = Counter()
        self.missed: list[Fault] = []
        self._over = threading.Event()
        self._room_at: float | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.acts: dict[str, Callable[[float], bool]] = {
            "worker's process": self._kill_of_cluster,
            "first process of a cluster": lambda choice: processes.kill(*pick(choice, self._clusters())),
            "whole cluster": self._kill_cluster,
            "supervisor": partial(self._kill_unit, "worker"),
            "web process": self._kill_web_process,
            "web server": self._kill_web_server,
            "clock": partial(self._kill_unit, "clock"),
            "mail door": partial(self._kill_unit, "receive_mail"),
            "database": lambda _: self.service.postgres.kill(),
            "database backend": lambda choice: processes.kill(*pick(choice, self.service.postgres.backends())),
            "broker": partial(self._kill_unit, "redis"),
            "broker emptied": lambda _: self.service.empty_broker(),
            "mail outage": self._fail_mail,
            "model outage": partial(self._fail, self.service.model),
            "receiver outage": partial(self._fail, self.service.receiver),
            "disk full": self._fill_disk,
        }

    @property
    def kills(self) -> int:
        return sum(count for what, count in self.done.items() if what in KILLS)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """No more faults; what is still broken is mended."""
        self._over.set()
        self.thread.join()
        self.service.media.make_room()
        for transport in ("agentmail", "email"):
            self.service.post("fail", transport, "busy", 0.0)
        self.service.model("fail", "busy", 0.0)
        self.service.receiver("fail", "busy", 0.0)

    def _run(self) -> None:
        began_at = time.monotonic()
        for fault in self.faults:
            while not self._over.wait(min(0.2, max(0.0, began_at + fault.at - time.monotonic()))):
                self._make_room()
                if time.monotonic() >= began_at + fault.at:
                    break
            if self._over.is_set():
                return
            self._carry_out(fault)

    def _carry_out(self, fault: Fault) -> None:
        deadline = time.monotonic() + VICTIM_SECONDS
        while not self._over.is_set() and time.monotonic() < deadline:
            if self.acts[fault.what](fault.choice):
                self.done[fault.what] += 1
                return
            self._over.wait(0.2)
        self.missed.append(fault)

    # --- Kills ---

    def _units(self, name: str) -> list[Unit]:
        return [unit for unit in self.service.units.values() if unit.name.startswith(name)]

    def _kill_unit(self, name: str, choice: float) -> bool:
        units = self._units(name)
        return units[int(choice * len(units))].kill()

    def _clusters(self) -> list[int]:
        """The first processes of the clusters, those too that have lost their supervisor."""
        supervisors = {unit.pid for unit in self.service.units.values()}
        return [pid for pid in processes.of_run(self.service.home) if pid not in supervisors and _leads_cluster(pid)]

    def _kill_of_cluster(self, choice: float) -> bool:
        forked = sorted(pid for leader in self._clusters() for pid in processes.below(leader))
        return processes.kill(*pick(choice, forked))

    def _kill_cluster(self, choice: float) -> bool:
        return any(processes.kill(pid, *processes.below(pid)) for pid in pick(choice, self._clusters()))

    def _webs(self) -> list[int]:
        return [unit.pid for unit in self._units("web") if unit.pid]

    def _kill_web_process(self, choice: float) -> bool:
        return processes.kill(*pick(choice, sorted(pid for web in self._webs() for pid in processes.below(web))))

    def _kill_web_server(self, choice: float) -> bool:
        return any(processes.kill(pid, *processes.below(pid)) for pid in pick(choice, self._webs()))

    # --- Outages ---

    def _seconds(self, choice: float) -> float:
        shortest, longest = OUTAGE_SECONDS
        return shortest + (longest - shortest) * (choice * 97 % 1)

    def _fail(self, who: Callable[..., None], choice: float) -> bool:
        who("fail", OUTAGES[int(choice * len(OUTAGES))], self._seconds(choice))
        return True

    def _fail_mail(self, choice: float) -> bool:
        transport = ("agentmail", "email")[int(choice * 89) % 2]
        return self._fail(lambda method, *how: self.service.post(method, transport, *how), choice)

    def _fill_disk(self, choice: float) -> bool:
        self.service.media.fill()
        self._room_at = time.monotonic() + self._seconds(choice)
        return True

    def _make_room(self) -> None:
        if self._room_at is not None and time.monotonic() > self._room_at:
            self._room_at = None
            self.service.media.make_room()
