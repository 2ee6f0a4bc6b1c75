"""Does the credit contract converge? One purse, its books, gateway and meter in bad weather.

The rules and the messages are the real ones; chance is a seed. Messages are dropped, repeated and
reordered, the broker forgets, the link is cut, the gateway is killed at any step or replaced, its
old card speaks again, refunds are cancelled, codes are typed late, twice and out of order, and the
meter's replies are lost. When the noise ends everything must agree.

    python -m simulator.world.credit_world --seeds 20000
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import TypeVar

from domain.wire import facts
from simulator.world.credit_faults import DivergenceError, KillError, Plant
from simulator.world.credit_gateway import Gateway, Meter
from simulator.world.credit_office import Office, Snapshot

_NOISE_STEPS = 400
_SETTLE_STEPS = 1500
_LOSS = 0.2
_BATCH = 5

Deed = Callable[[], None]
T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What became of a number of seeds. `first` names the first divergences, by seed."""

    plant: str
    seeds: int = 0
    divergences: int = 0
    frozen: int = 0
    set_aside: int = 0  # facts of old journals that were kept and not booked
    first: dict[int, str] = field(default_factory=dict)


@dataclass
class World:
    """Everything that happens to one purse under one seed."""

    rng: Random
    plant: Plant | None = None
    office: Office = field(init=False)
    meter: Meter = field(default_factory=Meter)
    gateway: Gateway = field(init=False)
    old_cards: list[Gateway] = field(default_factory=list)
    link: bool = True
    retained: bytes | None = None
    down: list[bytes] = field(default_factory=list)
    up: list[tuple[str, tuple[facts.Fact, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.office = Office(self.plant)
        first = Snapshot(self.office.journal_id, 0, 0, 0, 0, self.office.intent())
        self.gateway = Gateway(self.meter, self.rng, first, self.plant)

    def run(self) -> bool:
        """Noise, then silence; raises DivergenceError. Whether feeding was frozen by the end."""
        deeds, weights = zip(*self._deeds(), strict=True)
        for _ in range(_NOISE_STEPS):
            self.rng.choices(deeds, weights)[0]()
            self._pass_time(burning=True)
            if self.gateway.frozen:
                return True
        self.link = True
        for step in range(_SETTLE_STEPS):
            self._pass_time(burning=step < 50)
            if self.gateway.frozen:
                return True
            if step >= 50 and not self._differences():
                return False
        raise DivergenceError(f"not settled: {', '.join(self._differences())}")

    def _deeds(self) -> Iterable[tuple[Deed, float]]:
        """What people and chance do to the world, with how often."""
        yield lambda: None, 0.67
        yield self._sell, 0.10
        yield self._refund, 0.04
        yield self._reverse, 0.02
        yield self._cancel, 0.01
        yield self._issue_code, 0.04
        yield self._type_code, 0.06
        yield self._cut_or_mend, 0.03
        yield self._forget, 0.005
        yield self._replace_gateway, 0.005
        yield self._old_card_speaks, 0.02

    def _sell(self) -> None:
        self.office.sell(self.rng.choice((50, 100, 200)))
        self._publish()

    def _refund(self) -> None:
        if self.office.granted_fen > 0 and len(self.office.waiting) < 2:
            self.office.ask(self.rng.choice((20, 50, 150)), "refund")
            self._publish()

    def _reverse(self) -> None:
        latest = self.office.events[-1] if self.office.events else None
        if latest is None or self.office.waiting:
            return
        if latest.kind == "sale":
            self.office.ask(latest.fen, "reversal")
        elif latest.kind == "refund":
            self.office.reverse_refund()
        self._publish()

    def _cancel(self) -> None:
        if self.office.waiting:
            self.office.cancel(self.rng.choice(list(self.office.waiting)))
            self._publish()

    def _issue_code(self) -> None:
        if self.office.events and self.office.events[-1].kind == "sale":
            self.office.issue_code()
            self._publish()

    def _type_code(self) -> None:
        if self.office.codes:
            self._survive(lambda: self.gateway.type_code(self.rng.choice(self.office.codes)))

    def _cut_or_mend(self) -> None:
        self.link = not self.link
        if self.rng.random() < 0.5:
            self.down.clear()
        if self.rng.random() < 0.5:
            self.up.clear()

    def _forget(self) -> None:
        self.retained = None

    def _replace_gateway(self) -> None:
        self.old_cards.append(self.gateway)
        snapshot = self.office.replace_gateway()
        self.gateway = Gateway(self.meter, self.rng, snapshot, self.plant)

    def _old_card_speaks(self) -> None:
        if self.old_cards and self.link:
            card = self.rng.choice(self.old_cards)
            self._send_facts(card, len(card.facts))

    def _pass_time(self, *, burning: bool) -> None:
        """A moment of the ordinary life of gateway, wire and office."""
        chance = self.rng.random
        if chance() < 0.3 and self.office.held_version < self.office.version:
            self._publish()
        if self.down and self.link and chance() < 0.7:
            message = self.down.pop(0)
            self._survive(lambda: self.gateway.adopt(message))
        if self.link and self.retained and chance() < 0.05:
            retained = self.retained
            self._survive(lambda: self.gateway.adopt(retained))
        if burning and chance() < 0.3 and self.gateway.available_fen > 0:
            self.meter.total_wh += self.rng.randrange(min(40, self.gateway.available_fen + 1))
        if chance() < 0.3:
            self._survive(self.gateway.charge)
        if chance() < 0.5:
            self._survive(self.gateway.feed)
        if self.link and chance() < 0.5:
            self._send_facts(self.gateway, _BATCH)
        while self.up and self.link and chance() < 0.8:
            self.office.book(*self.up.pop(0))
        self._check_always()

    def _survive(self, deed: Deed) -> None:
        try:
            deed()
        except KillError:
            return  # the journal stands; the next step begins from it

    def _publish(self) -> None:
        if self.link:
            self.retained = self.office.intent()
            self._send(self.down, self.retained)

    def _send_facts(self, gateway: Gateway, limit: int) -> None:
        held = self.office.held[gateway.journal_id]
        for start in range(held, min(held + limit, len(gateway.facts)), _BATCH):
            batch = tuple(gateway.facts[start : start + _BATCH])
            self._send(self.up, (gateway.journal_id, batch))

    def _send(self, pipe: list[T], message: T) -> None:
        """Put a message on the wire: perhaps lost, anywhere in the queue, perhaps twice."""
        if self.rng.random() < _LOSS:
            return
        pipe.insert(self.rng.randrange(len(pipe) + 1), message)
        if self.rng.random() < _LOSS:
            pipe.insert(self.rng.randrange(len(pipe) + 1), message)

    def _check_always(self) -> None:
        purse, history = self.gateway.purse, self.office.history
        if purse.count not in history:
            raise DivergenceError(f"count {purse.count} was never given")
        if purse.granted_fen != history[purse.count]:
            raise DivergenceError(
                f"granted {purse.granted_fen} at count {purse.count}, the books say"
                f" {history[purse.count]}"
            )
        if self.meter.fed_fen > max(history.values()):
            raise DivergenceError("the meter was given more than was ever granted")

    def _differences(self) -> list[str]:
        """What does not agree yet, in words."""
        office, purse = self.office, self.gateway.purse
        pairs = {
            "open reservations": (len(office.waiting), 0),
            "granted": (purse.granted_fen, office.granted_fen),
            "count": (purse.count, office.count),
            "version": (purse.version, office.version),
            "version held": (office.held_version, office.version),
            "reservations held": (len(purse.reservations), 0),
            "fed": (self.meter.fed_fen, office.granted_fen),
            "cash": (office.cash_fen, office.granted_fen),
            "facts held": (office.held[self.gateway.journal_id], len(self.gateway.facts)),
            "charged": (office.charged_ticks, purse.charged_ticks),
            "energy": (office.to_wh, self.meter.total_wh),
            "fed in the books": (office.fed_fen, self.meter.fed_fen),
            "on the wire": (len(self.down) + len(self.up), 0),
            "below zero": (min(self.gateway.available_fen, 0), 0),
        }
        return [f"{name} {a} ≠ {b}" for name, (a, b) in pairs.items() if a != b]


def run(seeds: Iterable[int], plant: Plant | None = None, *, stop_at: int | None = None) -> Tally:
    """Live through each seed; `stop_at` ends it after so many that went wrong."""
    tally = Tally(plant.value if plant else "none")
    for seed in seeds:
        world = World(Random(seed), plant)
        tally.seeds += 1
        try:
            tally.frozen += world.run()
        except DivergenceError as fault:
            tally.divergences += 1
            if len(tally.first) < 3:
                tally.first[seed] = str(fault)
        tally.set_aside += sum(world.office.set_aside.values())
        if stop_at is not None and tally.divergences + tally.frozen >= stop_at:
            break
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 iff nothing diverged and nothing froze."""
    parser = argparse.ArgumentParser(prog="credit_world", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--plant", type=Plant, choices=list(Plant))
    asked = parser.parse_args(arguments)
    tally = run(range(asked.from_seed, asked.from_seed + asked.seeds), asked.plant)
    sys.stdout.write(json.dumps(asdict(tally)) + "\n")
    return 1 if tally.divergences or tally.frozen else 0


if __name__ == "__main__":
    sys.exit(main())
