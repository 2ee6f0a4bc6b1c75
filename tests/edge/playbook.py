"""A conversation with the brain of a gateway: what arrives, what it says, what it does.

Tests read like a script: `book.poll("p1", wh=…)`, then `book.expect("supply_decided", to="on")`.
Commits are applied to a journal kept in memory, so that `book.restart()` is a start after a power
cut: only what was committed is known again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from domain.instants import DAY_MS, MINUTE_MS, Stamp, Trust
from domain.supply import Relay
from domain.wire.intents import (
    Body,
    Bus,
    CalendarBody,
    CreditBody,
    InstallationBody,
    Intent,
    Place,
    PolicyBody,
    Reservation,
    SupplyBody,
    TariffBody,
    kind_of_body,
)
from edge.cycle import step
from edge.effects import Effect, Persist, ReadSoon, RebuildBuses, StoreIntent, SwitchRelay
from edge.events import Event, Identified, IntentArrived, Polled, RelayMoved
from edge.installing import begin
from edge.memory import Commit, PointMemory, Recollection, Series
from edge.meters.profile import default_directory, load_all
from edge.meters.snapshot import Snapshot
from edge.picture import Picture, Rules

PROFILES = load_all(default_directory())
GATEWAY = "gw-1"
CHINA = 480  # minutes east of UTC
START_MS = int(datetime(2026, 3, 2, 0, 5, tzinfo=UTC).timestamp()) * 1000  # a Monday, 08:05 there

PATIENT = Rules(gateway_id=GATEWAY, software="test", lost_ms=30 * DAY_MS)  # time may jump
PROMPT = Rules(gateway_id=GATEWAY, software="test")  # the gateway's own patience

FLAT = {
    "effective_from_ms": 0,
    "rates": [3],
    "day_types": {"workday": [(0, 3)]},
    "price_e4": [[500_000]],  # 50 yuan/kWh: a watt-hour costs five fen, so that tests are short
    "steps_wh": [],
    "period": "month",
}
PEAK_AT_NOON = {  # 谷 until 12:00 at 30 yuan/kWh, 峰 after it at 90
    **FLAT,
    "rates": [2, 4],
    "day_types": {"workday": [(0, 4), (720, 2)]},
    "price_e4": [[900_000], [300_000]],
}


def at(hour: int, minute: int = 0, second: int = 0) -> int:
    """UTC milliseconds of a time of the first day there; hours from 24 on are the next day's."""
    midnight = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp()) * 1000 - CHINA * MINUTE_MS
    return midnight + (hour * 60 + minute) * MINUTE_MS + second * 1000


def place(n: int, **fields: Any) -> Place:
    return Place.model_validate(
        {
            "point_id": f"p{n}",
            "meter_id": f"{n:012d}",
            "incarnation": 0,
            "bus_id": "bus-1",
            "address": n,
            "profile": "ddsy1352-nk",
            "purse_id": f"purse{n}",
            "circuit": "照明",
            "tariff_id": "dorm",
            "policy_id": "dorm",
            "pt": 1,
            "ct": 1,
            **fields,
        }
    )


def bus(n: int = 1) -> Bus:
    return Bus(bus_id=f"bus-{n}", port=f"/dev/ttyUSB{n}", baud=9600, parity="N")


@dataclass
class Kept:
    """A journal in memory: what a start after a power cut finds."""

    known: Recollection
    facts: list[dict[str, Any]] = field(default_factory=list)

    def commit(self, commit: Commit) -> None:
        known, head = self.known, self.known.series.head_seq
        assert [f.seq for f in commit.facts] == [*range(head + 1, head + 1 + len(commit.facts))]
        self.facts += [json.loads(f.text) for f in commit.facts]
        alarms = {a.alarm_id: a for a in (*known.alarms, *commit.alarms_raised)}
        for alarm_id in commit.alarms_cleared:
            del alarms[alarm_id]
        self.known = replace(
            known,
            series=replace(known.series, head_seq=head + len(commit.facts)),
            points=merged(known.points, commit.points, "point_id"),
            purses=tuple({p.purse.purse_id: p for p in (*known.purses, *commit.purses)}.values()),
            supply=merged(known.supply, commit.supply, "point_id"),
            taken=tuple({(t.kind, t.key): t for t in (*known.taken, *commit.taken)}.values()),
            alarms=tuple(alarms.values()),
        )


def merged(old: Any, new: Any, key: str) -> Any:
    return tuple({getattr(row, key): row for row in (*old, *new)}.values())


class Playbook:
    """One gateway with points p1, p2, … on bus-1, its clock in the test's hands."""

    def __init__(
        self,
        *places: Place,
        tariff: Mapping[str, Any] = FLAT,
        trust: Trust = Trust.synchronised,
        rules: Rules | None = None,
        policy: PolicyBody | None = None,
        start_ms: int = START_MS,
        install: bool = True,
    ) -> None:
        self.kept = Kept(Recollection(Series("j" * 26, "first", None, boot=1)))
        self.rules = rules or PATIENT
        self.stored: dict[tuple[str, str, int], Intent] = {}
        self.picture: Picture = begin(self.kept.known, (), profiles=PROFILES, rules=self.rules)
        self.at_ms, self.mono_ms, self.trust, self.boot = start_ms, 0, trust, 1
        self.versions: dict[tuple[str, str], int] = {}
        self.effects: tuple[Effect, ...] = ()
        self.commits: list[Commit] = []
        self.unheard: list[dict[str, Any]] = []
        self.switches: list[SwitchRelay] = []
        self.reads: list[str] = []
        self.rebuilt: list[InstallationBody] = []
        self.registers: dict[str, int] = {}
        self.relays: dict[str, Relay] = {}
        self.intend(CalendarBody(days={}), "site")
        self.intend(policy or PolicyBody(alarm_1_fen=1_000, alarm_2_fen=500), "dorm")
        self.intend(TariffBody.model_validate(tariff), "dorm")
        if install:
            self.install(*(places or (place(1),)))

    # --- time ----------------------------------------------------------------------------------

    def stamp(self) -> Stamp:
        return Stamp(self.at_ms, self.trust, self.boot, self.mono_ms)

    def wait(self, ms: int) -> "Playbook":
        """Let time pass; nothing happens by that alone."""
        self.at_ms += ms
        self.mono_ms += ms
        return self

    def until(self, at_ms: int) -> "Playbook":
        return self.wait(at_ms - self.at_ms)

    # --- what arrives --------------------------------------------------------------------------

    def turn(self, *events: Event) -> tuple[Effect, ...]:
        """One cycle; its effects. Commits are kept, facts wait for `expect`."""
        self.picture, self.effects = step(self.picture, events, self.stamp())
        for effect in self.effects:
            match effect:
                case StoreIntent(intent):
                    start = intent.body.get("effective_from_ms", 0)
                    self.stored[intent.kind, intent.key, start] = intent
                case Persist(commit):
                    self.kept.commit(commit)
                    self.commits.append(commit)
                    self.unheard += [json.loads(fact.text) for fact in commit.facts]
                case SwitchRelay():
                    self.switches.append(effect)
                case ReadSoon(point_id):
                    self.reads.append(point_id)
                case RebuildBuses(installation):
                    self.rebuilt.append(installation)
                case _:
                    pass
        return self.effects

    def intend(
        self,
        body: Body,
        key: str,
        *,
        version: int | None = None,
        expires_at_ms: int | None = None,
    ) -> int:
        """An intent arrives, by default of the next version; the version."""
        slot = (kind_of_body(body), key)
        version = self.versions.get(slot, 0) + 1 if version is None else version
        self.versions[slot] = max(version, self.versions.get(slot, 0))
        intent = Intent.of(
            body, key=key, version=version, issued_at_ms=self.at_ms, expires_at_ms=expires_at_ms
        )
        self.turn(IntentArrived(intent))
        return version

    def install(self, *places: Place, buses: tuple[Bus, ...] = (bus(1), bus(2))) -> None:
        """An installation with these points; the meters answer to their names."""
        body = InstallationBody(utc_offsets=((0, CHINA),), buses=buses, points=places)
        self.intend(body, GATEWAY)

    def credit(
        self,
        purse_id: str,
        fen: int,
        *,
        count: int = 1,
        reservations: Mapping[str, int] | None = None,
        purpose: str = "refund",
        state: str = "open",
        version: int | None = None,
    ) -> int:
        """The centre says what a purse should be."""
        body = CreditBody.model_validate(
            {
                "count": count,
                "granted_fen": fen,
                "reservations": [
                    Reservation(reservation_id=key, fen=amount, purpose=purpose).model_dump()
                    for key, amount in (reservations or {}).items()
                ],
                "state": state,
            }
        )
        return self.intend(body, purse_id, version=version)

    def supply(self, point_id: str, **fields: Any) -> int:
        return self.intend(SupplyBody.model_validate({"mode": "prepaid", **fields}), point_id)

    def identify(
        self, point_id: str, *, meter_id: str | None = None, own_prepaid_on: bool = False
    ) -> None:
        read = meter_id or self.picture.points[point_id].place.meter_id
        self.turn(Identified(point_id, read, own_prepaid_on, self.mono_ms))

    def polled(self, point_id: str, wh: int, **fields: Any) -> Polled:
        """A poll as an event; `wh` is the register, the relay is where the meter has it."""
        self.registers[point_id] = wh
        meter = self.picture.points[point_id].place.meter_id
        return Polled(point_id, meter, self.snapshot(point_id, wh, **fields), self.mono_ms)

    def snapshot(self, point_id: str, wh: int, **fields: Any) -> Snapshot:
        values: dict[str, Any] = {
            "register_wh": wh,
            "rate_wh": None,
            "power_w": 100,
            "voltage_dv": 2200,
            "current_ca": 45,
            "pf_milli": 990,
            "relay": self.relays.get(point_id, Relay.closed),
            "forced": None,
            "own_prepaid_on": None,
            "meter_balance_fen": None,
            "meter_count": 0,
            "type_code": 7,
            **fields,
        }
        return Snapshot(**values)

    def poll(self, point_id: str, wh: int, **fields: Any) -> tuple[Effect, ...]:
        """A meter answers its poll; one that was never identified says first who it is, and what
        is not believed by itself is asked for again and said again at once."""
        if self.picture.points[point_id].meter_id_read is None:
            self.identify(point_id)
        effects = self.turn(self.polled(point_id, wh, **fields))
        if self.picture.points[point_id].unsure is not None:
            self.reads.remove(point_id)
            effects = self.turn(self.polled(point_id, wh, **fields))
        return effects

    def burn(self, point_id: str, wh: int) -> tuple[Effect, ...]:
        """Use `wh` at 10 kW, and be read after it."""
        self.wait(max(wh * 360, 1_000))
        return self.poll(point_id, self.registers[point_id] + wh)

    def open_room(self, point_id: str = "p1", fen: int = 5_000, wh: int = 100_000) -> None:
        """An opened room with credit, its meter read twice; nothing of it left to hear."""
        self.credit(self.purse_of(point_id), fen)
        self.poll(point_id, wh)
        self.wait(3_500).poll(point_id, wh)
        self.unheard.clear()

    def purse_of(self, point_id: str) -> str:
        purse_id = self.picture.points[point_id].place.purse_id
        assert purse_id is not None
        return purse_id

    def relay_moves(self, seen: Relay | None = None, tries: int = 1) -> SwitchRelay:
        """The oldest relay command is carried out (or ends with `seen`), and its result arrives."""
        command = self.switches.pop(0)
        seen = command.wanted if seen is None else seen
        if seen is not Relay.unknown:
            self.relays[command.point_id] = seen
        self.turn(RelayMoved(command.point_id, command.wanted, seen, tries, command.decided_seq))
        return command

    def restart(self, *, off_ms: int = 5_000, trust: Trust | None = None) -> None:
        """The power goes, and comes again: only what was kept is known."""
        self.at_ms += off_ms
        self.boot, self.mono_ms = self.boot + 1, 0
        self.trust = self.trust if trust is None else trust
        series = replace(self.kept.known.series, boot=self.boot)
        self.kept.known = replace(self.kept.known, series=series)
        self.picture = begin(
            self.kept.known, self.stored.values(), profiles=PROFILES, rules=self.rules
        )
        self.switches.clear()
        self.reads.clear()
        self.unheard.clear()

    # --- what is said and done -----------------------------------------------------------------

    def expect(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next unheard fact of this kind, which must have these fields."""
        for n, fact in enumerate(self.unheard):
            if fact["kind"] == kind:
                found = {name: fact.get(name) for name in fields}
                assert found == fields, f"{kind}: {found} ≠ {fields}"
                return self.unheard.pop(n)
        raise AssertionError(f"no {kind}; said: {self.heard()}")

    def expect_no(self, *kinds: str) -> None:
        said = [fact for fact in self.unheard if fact["kind"] in kinds]
        assert not said, f"said: {said}"

    def expect_silence(self) -> None:
        assert not self.unheard, f"said: {self.unheard}"

    def heard(self) -> list[str]:
        return [fact["kind"] for fact in self.unheard]

    def expect_switch(self, point_id: str, wanted: Relay) -> None:
        commands = [(effect.point_id, effect.wanted) for effect in self.switches]
        assert commands == [(point_id, wanted)], commands

    def on_its_way(self, point_id: str) -> bool:
        """Whether a relay command is under way, as far as the gateway knows."""
        return self.picture.points[point_id].command is not None

    def memory(self, point_id: str = "p1") -> PointMemory:
        memory = self.picture.points[point_id].memory
        assert memory is not None
        return memory

    def memory_relay(self, point_id: str) -> str:
        """Where the relay stands as far as the gateway knows."""
        memory = self.picture.points[point_id].memory
        return "unknown" if memory is None else memory.relay.value

    def charged_ticks(self, purse_id: str = "purse1") -> int:
        return self.picture.purses[purse_id].purse.charged_ticks

    def codes(self, subject_id: str = "p1") -> set[str]:
        return {code for subject, code in self.picture.alarms if subject == subject_id}
