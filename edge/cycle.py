"""One cycle: what arrived, on one frozen picture, decided once. Pure and synchronous.

`step` reads no clock and does nothing; what is to be done comes back as effects, in the order in
which it must happen. Feeding it no events is how time passes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from domain.instants import Stamp
from domain.wire import facts
from edge import closing, hearing, intents, metering, relays, supplying, watching
from edge.draft import Draft
from edge.effects import Effect
from edge.events import (
    BusHealth,
    ClockStepped,
    Event,
    Identified,
    IntentArrived,
    Missed,
    Polled,
    PortBack,
    PortLost,
    RelayMoved,
    SeriesStarted,
    WatermarkArrived,
)
from edge.picture import Picture

ROLLED_BACK = "journal_rolled_back"


def step(
    picture: Picture, events: Sequence[Event], now: Stamp
) -> tuple[Picture, tuple[Effect, ...]]:
    """The picture after these events, and what is to be done, in that order."""
    draft = Draft(picture, now)
    for event in events:
        if isinstance(event, SeriesStarted):
            _follow_series(draft, event)
    _open_journal(draft)
    for event in events:
        _take(draft, event)
    metering.write_openings(draft)
    for point_id in _served(draft):
        relays.see(draft, picture.points.get(point_id), draft.points[point_id])
    watching.watch(draft)
    watching.close_intervals(draft)
    metering.keep_wanted(draft)
    intents.take_waiting(draft)
    closing.settle(draft)
    supplying.decide(draft)
    for point_id in _served(draft):
        relays.check(draft, point_id)
    metering.write_suspects(draft)
    return draft.finish()


def _served(draft: Draft) -> list[str]:
    """The points polled in this cycle that are still the same meters after its intents, and known:
    a relay is seen and set right also while the register is doubted."""
    points = draft.points
    return [
        p
        for p in draft.served
        if p in points and points[p].shown is not None and points[p].is_remembered
    ]


def _take(draft: Draft, event: Event) -> None:
    match event:
        case Polled():
            hearing.hear(draft, event)
        case Identified():
            hearing.identify(draft, event)
        case RelayMoved():
            relays.take_result(draft, event)
        case IntentArrived(intent):
            intents.take(draft, intent)
        case WatermarkArrived(watermark):
            draft.heed(watermark)
        case ClockStepped(source, before_ms, trust_before):
            draft.write(
                facts.ClockSet, source=source, before_ms=before_ms, trust_before=trust_before
            )
        case PortLost():
            watching.lose_port(draft, event)
        case PortBack():
            watching.find_port(draft, event)
        case BusHealth():
            _write_health(draft, event)
        case Missed() | SeriesStarted():
            pass  # silence is judged by time (watching); a new series was followed first
        case _:
            assert_never(event)


def _follow_series(draft: Draft, event: SeriesStarted) -> None:
    series = event.series
    draft.next_seq = series.head_seq + 1
    draft.picture = replace(
        draft.picture,
        journal_id=series.journal_id,
        reason=series.reason,
        previous_journal_id=series.previous_journal_id,
    )


def _open_journal(draft: Draft) -> None:
    """The first fact of a series says where it comes from, whatever else happens."""
    if draft.next_seq != 1:
        return
    picture = draft.picture
    draft.write(
        facts.JournalOpened,
        previous_journal_id=picture.previous_journal_id,
        reason=picture.reason,
        software=picture.rules.software,
        snapshot_version=None,
    )
    if picture.reason == "rolled_back":
        draft.raise_alarm(
            picture.rules.gateway_id,
            ROLLED_BACK,
            "日志账早于中心账簿，已另起新账 / the journal was older than the books: begun anew",
            severity="critical",
        )


def _write_health(draft: Draft, event: BusHealth) -> None:
    if event.points:
        draft.write(
            facts.BusHealth,
            bus_id=event.bus_id,
            point_id=tuple(point.point_id for point in event.points),
            good=tuple(point.good for point in event.points),
            bad=tuple(point.bad for point in event.points),
            p50_ms=tuple(point.p50_ms for point in event.points),
            p99_ms=tuple(point.p99_ms for point in event.points),
        )
