"""A picture while one cycle changes it: the only mutable value of the brain.

A draft is made at the start of `cycle.step` and finished at its end; nothing outside a step ever
holds one. Facts are numbered here, in the order in which they are written.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from domain import credit
from domain.instants import Stamp, Trust, redated
from domain.readings import Suspicion
from domain.wire.facts import (
    FACT_TEXT_MAX,
    AlarmCleared,
    AlarmRaised,
    Fact,
    Severity,
    canonical,
)
from domain.wire.intents import InstallationBody, Intent
from domain.wire.messages import Watermark
from edge.effects import (
    Effect,
    HeedWatermark,
    Note,
    Persist,
    ReadSoon,
    RebuildBuses,
    StoreIntent,
    SwitchRelay,
)
from edge.memory import Alarm, Commit, PointMemory, PurseMemory, SupplyHeld, Taken, Written
from edge.meters.snapshot import Snapshot
from edge.picture import Picture, Point

_DETAIL_MAX = 500


class Draft:
    """The picture under way at `now`, the rows to keep, and what is to be done."""

    def __init__(self, picture: Picture, now: Stamp) -> None:
        self.picture = picture  # all that has no field of its own below; replaced as a whole
        self.now = now
        self.cycle = picture.cycle + 1
        self.next_seq = picture.next_seq
        self.points = dict(picture.points)
        self.purses = dict(picture.purses)
        self.supply = dict(picture.supply)
        self.taken = dict(picture.taken)
        self.alarms = dict(picture.alarms)
        self.closing_since = dict(picture.closing_since)
        self.waiting = dict(picture.waiting)
        self.watched_mono_ms = picture.watched_mono_ms
        self.boundary_mono_ms = picture.boundary_mono_ms
        self.old_intents = picture.old_intents
        self.heard: dict[str, None] = {}  # points that answered anything in this cycle
        self.served: dict[str, None] = {}  # points in service that were polled, believed or not
        self.polled: dict[str, None] = {}  # points with a believed poll in this cycle, in order
        self.touched: dict[str, None] = {}  # points whose supply must be decided again
        self.openings: dict[str, None] = {}  # points that begin at their newest reading
        self.evidence: dict[str, int] = {}  # point → seq of its newest readings fact of this cycle
        self.suspects: dict[str, tuple[Snapshot, Suspicion]] = {}  # point → what began a suspicion
        self._facts: list[Written] = []
        self._points_kept: dict[str, None] = {}
        self._purses_kept: dict[str, None] = {}
        self._supply_kept: dict[str, None] = {}
        self._taken_kept: dict[tuple[str, str], None] = {}
        self._raised: dict[str, Alarm] = {}
        self._cleared: list[str] = []
        self._stores: list[StoreIntent] = []
        self._watermarks: list[HeedWatermark] = []
        self._rebuild: RebuildBuses | None = None
        self._switches: dict[str, SwitchRelay] = {}
        self._reads: dict[str, ReadSoon] = {}
        self._notes: list[Note] = []

    # --- time ----------------------------------------------------------------------------------

    @property
    def hour_known(self) -> bool:
        """Whether rules that need the hour may act."""
        return self.now.trust >= Trust.meter

    @property
    def interval(self) -> int:
        """The number of the clock interval that `now` falls in."""
        return self.now.at_ms // self.picture.rules.interval_ms

    def stamp_at(self, mono_ms: int) -> Stamp:
        """The stamp of an earlier moment of this start."""
        at_ms = redated(replace(self.now, mono_ms=mono_ms), self.now.at_ms, self.now.mono_ms)
        return replace(self.now, at_ms=max(at_ms, 0), mono_ms=mono_ms)

    def settled(self, stamp: Stamp) -> Stamp:
        """The stamp with its true time, where this start made it before the hour was known."""
        if stamp.trust >= Trust.meter or not self.hour_known or stamp.boot != self.now.boot:
            return stamp
        return self.stamp_at(stamp.mono_ms)

    def is_fresh(self, point: Point) -> bool:
        """Whether the point's newest believed reading is young enough to stand for now."""
        if point.reading is None:
            return False
        return self.now.mono_ms - point.reading.stamp.mono_ms <= self.picture.rules.fresh_ms

    # --- facts and rows ------------------------------------------------------------------------

    def write(self, kind: Callable[..., Fact], **content: Any) -> int:
        """Write down a fact with the stamp of this cycle; its seq."""
        now, seq = self.now, self.next_seq
        fact = kind(
            seq=seq, at_ms=now.at_ms, trust=int(now.trust), boot=now.boot, mono_ms=now.mono_ms,
            **content,
        )  # fmt: skip
        text = canonical(fact)
        assert len(text.encode()) <= FACT_TEXT_MAX, f"{fact.kind}: a fact that cannot be sent"
        self._facts.append(Written(seq, fact.kind, text))
        self.next_seq += 1
        return seq

    def change(self, point_id: str, **fields: Any) -> Point:
        """Replace fields of a point (seen in the next live picture)."""
        point = replace(self.points[point_id], changed=self.cycle, **fields)
        self.points[point_id] = point
        return point

    def remember(self, point_id: str, **fields: Any) -> PointMemory:
        """Replace fields of what is remembered of a point, and keep it."""
        memory = self.points[point_id].memory
        assert memory is not None, point_id
        memory = replace(memory, **fields)
        self.change(point_id, memory=memory)
        self._points_kept[point_id] = None
        return memory

    def keep(self, point_id: str) -> None:
        """Keep what is remembered of a point with this cycle's commit."""
        self._points_kept[point_id] = None

    def put_purse(self, memory: PurseMemory) -> None:
        """Replace a purse and keep it."""
        purse_id = memory.purse.purse_id
        self.purses[purse_id] = memory
        self._purses_kept[purse_id] = None
        for point_id in self.points_of(purse_id):
            self.change(point_id)

    def put_supply(self, held: SupplyHeld) -> None:
        """Replace the supply intent of a point and keep it."""
        self.supply[held.point_id] = held
        self._supply_kept[held.point_id] = None

    def put_taken(self, taken: Taken) -> None:
        """Replace what became of the newest version of an intent, and keep it."""
        self.taken[taken.kind, taken.key] = taken
        self._taken_kept[taken.kind, taken.key] = None

    # --- what the rules ask --------------------------------------------------------------------

    def points_of(self, purse_id: str) -> tuple[str, ...]:
        """The points of a purse, as installed."""
        return self.picture.points_of.get(purse_id, ())

    def purse(self, purse_id: str) -> PurseMemory:
        """A purse as held; an empty one before its first intent."""
        return self.purses.get(purse_id) or PurseMemory(credit.Purse(purse_id))

    def available_ticks(self, purse_id: str) -> int:
        """What is available now: as booked, less what is read and not charged yet."""
        read = sum(
            point.provisional_ticks
            for point in map(self.points.__getitem__, self.points_of(purse_id))
            if point.memory is not None and point.memory.purse_id == purse_id
        )
        return credit.available_ticks(self.purse(purse_id).purse) - read

    # --- alarms --------------------------------------------------------------------------------

    def stands(self, subject_id: str, code: str) -> bool:
        """Whether this alarm stands."""
        return (subject_id, code) in self.alarms

    def raise_alarm(
        self, subject_id: str, code: str, detail: str, *, severity: Severity = "warning"
    ) -> None:
        """Raise an alarm; one that stands already is left as it is."""
        if self.stands(subject_id, code):
            return
        alarm = Alarm(
            alarm_id=f"{self.picture.journal_id}-{self.next_seq}",
            code=code,
            subject_id=subject_id,
            severity=severity,
            detail=detail[:_DETAIL_MAX],
            raised_ms=self.now.at_ms,
        )
        self._say(AlarmRaised, alarm)
        self.alarms[subject_id, code] = alarm
        self._raised[alarm.alarm_id] = alarm

    def clear_alarm(self, subject_id: str, code: str) -> None:
        """Clear an alarm if it stands."""
        alarm = self.alarms.pop((subject_id, code), None)
        if alarm is None:
            return
        self._say(AlarmCleared, alarm)
        if self._raised.pop(alarm.alarm_id, None) is None:
            self._cleared.append(alarm.alarm_id)

    def _say(self, kind: Callable[..., Fact], alarm: Alarm) -> None:
        self.write(
            kind,
            alarm_id=alarm.alarm_id,
            code=alarm.code,
            subject_id=alarm.subject_id,
            severity=alarm.severity,
            detail=alarm.detail,
        )
        for point in tuple(self.points.values()):
            if alarm.subject_id in (point.point_id, point.bus_id, point.place.purse_id):
                self.change(point.point_id)

    # --- what is to be done --------------------------------------------------------------------

    def store(self, intent: Intent) -> None:
        self._stores.append(StoreIntent(intent))

    def rebuild(self, installation: InstallationBody) -> None:
        self._rebuild = RebuildBuses(installation)

    def heed(self, watermark: Watermark) -> None:
        self._watermarks.append(HeedWatermark(watermark))

    def switch(self, effect: SwitchRelay) -> None:
        self._switches[effect.point_id] = effect

    def read_soon(self, point_id: str) -> None:
        self._reads[point_id] = ReadSoon(point_id, self.points[point_id].bus_id)

    def note(self, event: str, **fields: int | str | None) -> None:
        self._notes.append(Note("info", event, fields))

    def warn(self, event: str, **fields: int | str | None) -> None:
        self._notes.append(Note("warning", event, fields))

    def finish(self) -> tuple[Picture, tuple[Effect, ...]]:
        """The picture after the cycle, and its effects in the order in which they must happen."""
        picture = replace(
            self.picture,
            cycle=self.cycle,
            interval=self.interval,
            watched_mono_ms=self.watched_mono_ms,
            boundary_mono_ms=self.boundary_mono_ms,
            next_seq=self.next_seq,
            points=self.points,
            purses=self.purses,
            supply=self.supply,
            taken=self.taken,
            alarms=self.alarms,
            closing_since=self.closing_since,
            waiting=self.waiting,
            old_intents=self.old_intents,
        )
        commit = self._commit()
        persist: Iterable[Effect] = (Persist(commit),) if commit else ()
        rebuild: Iterable[Effect] = () if self._rebuild is None else (self._rebuild,)
        return picture, (
            *self._stores,
            *persist,
            *self._watermarks,
            *rebuild,
            *self._switches.values(),
            *self._reads.values(),
            *self._notes,
        )

    def _commit(self) -> Commit:
        memories = (self._memory(point_id) for point_id in self._points_kept)
        return Commit(
            facts=tuple(self._facts),
            points=tuple(memory for memory in memories if memory is not None),
            purses=tuple(self.purses[purse_id] for purse_id in self._purses_kept),
            supply=tuple(self.supply[point_id] for point_id in self._supply_kept),
            taken=tuple(self.taken[key] for key in self._taken_kept),
            alarms_raised=tuple(self._raised.values()),
            alarms_cleared=tuple(self._cleared),
            floor_ms=self.now.at_ms if self.hour_known else 0,
        )

    def _memory(self, point_id: str) -> PointMemory | None:
        point = self.points.get(point_id)
        return self.picture.retired.get(point_id) if point is None else point.memory
