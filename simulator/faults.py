"""What can be made to go wrong with a virtual meter, and the words by which it is asked for."""

from dataclasses import dataclass


@dataclass
class Faults:
    """Faults that stand until they are taken back.

    dead        answers nothing (its wires are off the bus; its load goes on burning)
    slow_ms     this much later than the bus's turnaround
    crc_rate    this share of replies has a wrong checksum, 0…1
    noise_rate  this share of replies has a stray byte before it, 0…1
    stuck       the relay's contact does not move any more
    mute_writes carries writes out and does not reply to them
    """

    dead: bool = False
    slow_ms: int = 0
    crc_rate: float = 0.0
    noise_rate: float = 0.0
    stuck: bool = False
    mute_writes: bool = False


_SWITCHES = {"dead": "dead", "stuck": "stuck", "mute_writes": "mute_writes"}
_SHARES = {"crc": "crc_rate", "noise": "noise_rate"}
STANDING = (*_SWITCHES, *_SHARES, "slow", "none")
AT_ONCE = ("reset", "swapped")


def stand(faults: Faults, name: str, value: object) -> None:
    """Set one standing fault by name; `value` None means "yes" (a share of 1, 250 ms of slowness).

    "none" takes all back. Raises ValueError in words for an unknown name or an unfit value.
    """
    if name == "none":
        fresh = Faults()
        for field in Faults.__dataclass_fields__:
            setattr(faults, field, getattr(fresh, field))
    elif name in _SWITCHES:
        if not isinstance(value, bool | None):
            raise ValueError(f"{name}: 应为 true 或 false / should be true or false")
        setattr(faults, _SWITCHES[name], value is not False)
    elif name in _SHARES:
        share = {None: 1, True: 1, False: 0}.get(value) if isinstance(value, bool | None) else value
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"{name}: 应为 0 至 1 / should be a share from 0 to 1")
        setattr(faults, _SHARES[name], float(share))
    elif name == "slow":
        delay = 250 if value is None else value
        if isinstance(delay, bool) or not isinstance(delay, int) or not 0 <= delay <= 10_000:
            raise ValueError("slow: 应为 0 至 10000 毫秒 / should be 0 to 10000 ms")
        faults.slow_ms = delay
    else:
        known = ", ".join((*STANDING, *AT_ONCE))
        raise ValueError(f"没有这种故障 {name} / no such fault; known are {known}")
