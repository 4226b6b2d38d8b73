"""For tests: the work that a worker would do, done here and now."""

from typing import Any

from cases import leases, pump, work

MAX_STEPS = 200  # a case that is due again for ever is a bug, and must not hang the tests


def run_due(*kinds: str, failing: type[BaseException] | tuple[type[BaseException], ...] = ()) -> list[BaseException]:
    """Advance all that is due, row after row in the calling thread, until nothing is; of all kinds if none is named.

    Steps that fail are counted and paused, as by the pump. Returns their errors; raises those that are not `failing`.
    """
    errors: list[BaseException] = []
    for _ in range(MAX_STEPS):
        claims = next(filter(None, (_claim(name) for name in kinds or work.kinds())), [])
        if not claims:
            return errors
        for held in claims:
            error = _error_of(held)
            pump.settle({held: error})
            if error is not None and not isinstance(error, leases.MovedOn | leases.LeaseLost):
                errors.append(error)
                if not isinstance(error, failing):
                    raise error
    raise AssertionError(f"something is still due after {MAX_STEPS} rounds")


def _claim(name: str) -> list[work.Claim[Any]]:
    return work.claim(name, 1) or work.claim(name, 1, alone=True)


def _error_of(held: work.Claim[Any]) -> BaseException | None:
    try:
        pump.run_step(held)
    except Exception as error:  # noqa: BLE001 (as in the pump, whatever a step raises is its outcome)
        return error
    return None
