"""Installation, prices and calendar as the picture holds them: at start, and when they change.

A faulty point is left out and named; the others are taken. What a point remembers, and its tier,
outlive its meter and its account.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pydantic import ValidationError

from domain.instants import Zone
from domain.readings import Limits
from domain.tariff import Pricing, Tariff
from domain.wire.intents import (
    CalendarBody,
    InstallationBody,
    Intent,
    Place,
    PolicyBody,
    TariffBody,
)
from edge import hearing, metering, watching
from edge.draft import Draft
from edge.faults import InstallationFault
from edge.installation import KINDS
from edge.memory import PointMemory, Recollection, Taken
from edge.meters.profile import Profile
from edge.picture import Picture, Point, Policy, Rules, grouped

FAULTY = "installation_fault"


def begin(
    known: Recollection,
    stored: Iterable[Intent],
    *,
    profiles: Mapping[str, Profile],
    rules: Rules,
) -> Picture:
    """The picture at start, from the journal and the installation file; no relay moves by it.

    Raises InstallationFault where a kept intent cannot be understood.
    """
    series, stored = known.series, sorted(stored, key=lambda intent: intent.version)
    picture = Picture(
        rules=rules,
        profiles=profiles,
        journal_id=series.journal_id,
        reason=series.reason,
        previous_journal_id=series.previous_journal_id,
        boot=series.boot,
        next_seq=series.head_seq + 1,
        retired={memory.point_id: memory for memory in known.points},
        purses={memory.purse.purse_id: memory for memory in known.purses},
        closing_since={
            memory.purse.purse_id: 0
            for memory in known.purses
            if memory.purse.state == "closing" and not memory.closed_seq
        },
        supply={held.point_id: held for held in known.supply},
        taken=_still_held(known.taken, stored),
        alarms={(alarm.subject_id, alarm.code): alarm for alarm in known.alarms},
    )
    for intent in stored:
        picture = _with_stored(picture, intent)
    return _priced(picture)


def _still_held(taken: Iterable[Taken], stored: Iterable[Intent]) -> dict[tuple[str, str], Taken]:
    """What was answered, less what the file has lost: that must be taken again when it comes."""
    versions: dict[tuple[str, str], int] = {}
    for intent in stored:  # the newest comes last
        versions[intent.kind, intent.key] = intent.version
    return {
        (one.kind, one.key): one
        for one in taken
        if one.kind not in KINDS
        or one.outcome == "refused"
        or versions.get((one.kind, one.key), 0) >= one.version
    }


def _with_stored(picture: Picture, intent: Intent) -> Picture:
    try:
        body = intent.typed()
    except ValidationError as error:
        raise InstallationFault(
            f"安装文件中的 {intent.kind}/{intent.key} 不认识 / is not understood: {error}"
        ) from error
    match body:
        case InstallationBody():
            sound, _ = _sift(body, picture.profiles)
            return _installed(picture, sound, mono_ms=0)
        case TariffBody():
            return _with_tariff(picture, body.to_tariff(intent.key, intent.version))
        case CalendarBody():
            return replace(picture, calendar=body.to_calendar())
        case PolicyBody():
            policy = Policy(intent.version, body)
            return replace(picture, policies={**picture.policies, intent.key: policy})
    raise InstallationFault(f"安装文件中不应有 {intent.kind} / {intent.kind} does not belong there")


# --- changes -----------------------------------------------------------------------------------


def put_installation(draft: Draft, body: InstallationBody) -> Mapping[str, str]:
    """Take a new installation; the faulty points by id, each with what is wrong in words."""
    sound, faults = _sift(body, draft.picture.profiles)
    metering.write_openings(draft)
    places = {place.point_id: place for place in sound.points}
    for point_id in draft.points.keys() | places.keys() | faults.keys():
        if point_id not in faults:
            draft.clear_alarm(point_id, FAULTY)
    leaving = [p for p in draft.points.values() if _leaves(p, places.get(p.point_id))]
    metering.close(draft, [point.point_id for point in leaving], "final")
    for point in leaving:
        _forget_alarms(draft, point, installed=point.point_id in places)
    for bus_id in {p.bus_id for p in draft.points.values()} - {p.bus_id for p in sound.points}:
        watching.forget_bus(draft, bus_id)
    before = draft.picture.installation
    picture = replace(draft.picture, points=draft.points)
    draft.picture = _priced(_installed(picture, sound, mono_ms=draft.now.mono_ms))
    draft.points = dict(draft.picture.points)
    if before is None or _wiring(before) != _wiring(sound):
        draft.rebuild(sound)
    for point_id in draft.points:
        draft.change(point_id, boundary_ms=0)
        metering.attach(draft, point_id)
        metering.reprice(draft, point_id)
        draft.touched[point_id] = None
    return faults


def _leaves(point: Point, place: Place | None) -> bool:
    """Whether a meter goes from its point, or the point from the installation."""
    return place is None or (place.meter_id, place.incarnation) != (
        point.place.meter_id,
        point.place.incarnation,
    )


def _forget_alarms(draft: Draft, point: Point, *, installed: bool) -> None:
    """Alarms about a meter go with it; those about the account only where the point goes, too."""
    about_meter = ("suspect_", "lost_meter", "relay_mismatch", hearing.OWN_PREPAID_ON)
    for subject_id, code in tuple(draft.alarms):
        if subject_id == point.point_id and (not installed or code.startswith(about_meter)):
            draft.clear_alarm(subject_id, code)


def _wiring(body: InstallationBody) -> tuple[object, ...]:
    """What the buses need to know: the rest of an installation changes without stopping them."""
    return body.buses, frozenset(
        (place.point_id, place.meter_id, place.bus_id, place.address, place.profile)
        for place in body.points
    )


def put_tariff(draft: Draft, table: Tariff) -> None:
    """Take a version of a tariff; what is read and not charged yet is priced by it."""
    draft.picture = _priced(_with_tariff(draft.picture, table))
    for point in tuple(draft.points.values()):
        if point.place.tariff_id == table.tariff_id:
            _reprice_anew(draft, point.point_id)


def put_calendar(draft: Draft, body: CalendarBody) -> None:
    """Take the calendar of the site."""
    draft.picture = _priced(replace(draft.picture, calendar=body.to_calendar()))
    for point_id in tuple(draft.points):
        _reprice_anew(draft, point_id)


def _reprice_anew(draft: Draft, point_id: str) -> None:
    draft.change(point_id, boundary_ms=0)
    metering.reprice(draft, point_id)
    draft.touched[point_id] = None


def _with_tariff(picture: Picture, table: Tariff) -> Picture:
    others = [
        kept
        for kept in picture.tariffs.get(table.tariff_id, ())
        if kept.effective_from_ms != table.effective_from_ms
    ]
    return replace(picture, tariffs={**picture.tariffs, table.tariff_id: (*others, table)})


def _priced(picture: Picture) -> Picture:
    pricings = {
        tariff_id: Pricing(versions, picture.calendar, picture.zone)
        for tariff_id, versions in picture.tariffs.items()
    }
    return replace(picture, pricings=pricings)


# --- points ------------------------------------------------------------------------------------


def _sift(
    body: InstallationBody, profiles: Mapping[str, Profile]
) -> tuple[InstallationBody, Mapping[str, str]]:
    """The installation without its faulty points, and what is wrong with those."""
    buses = {bus.bus_id for bus in body.buses}
    ids = Counter(place.point_id for place in body.points)
    meters = Counter(place.meter_id for place in body.points)
    wires = Counter((place.bus_id, place.address) for place in body.points)
    faults: dict[str, str] = {}
    for place in body.points:
        wrong = []
        if ids[place.point_id] > 1:
            wrong.append("计量点重复 / the point is listed twice")
        if meters[place.meter_id] > 1:
            wrong.append(f"表号重复 / meter {place.meter_id} is listed twice")
        if wires[place.bus_id, place.address] > 1:
            wrong.append(f"地址重复 / address {place.address} on {place.bus_id} is taken twice")
        if place.bus_id not in buses:
            wrong.append(f"没有此总线 / there is no bus {place.bus_id}")
        if place.profile not in profiles:
            wrong.append(f"不认识的表型 / unknown meter profile {place.profile}")
        if wrong:
            faults[place.point_id] = "; ".join(wrong)
    sound = tuple(place for place in body.points if place.point_id not in faults)
    return body.model_copy(update={"points": sound}), faults


def _installed(picture: Picture, body: InstallationBody, *, mono_ms: int) -> Picture:
    """The picture with these points: what their meters said stays where the wiring stays."""
    memories = dict(picture.retired)
    for point in picture.points.values():
        if point.memory is not None:
            memories[point.point_id] = point.memory
    points = {
        place.point_id: _point(picture, place, memories.pop(place.point_id, None), mono_ms)
        for place in body.points
    }
    return replace(
        picture,
        installation=body,
        zone=Zone(body.utc_offsets),
        points=points,
        retired=memories,
        points_of=grouped(points.values()),
    )


def _point(picture: Picture, place: Place, memory: PointMemory | None, mono_ms: int) -> Point:
    before = picture.points.get(place.point_id)
    if before is not None and _same(before.place, place, _DEVICE):
        return replace(before, place=place)
    profile, ratio = picture.profiles[place.profile], place.pt * place.ct
    limits = Limits(
        modulus_wh=profile.limits.modulus_wh * ratio,
        step_wh=profile.limits.step_wh * ratio,
        p_max_w=profile.limits.p_max_w * ratio,
    )
    point = Point(place, profile, limits, ratio, memory=memory, heard_mono_ms=mono_ms)
    if before is not None and _same(before.place, place, _WIRING):
        return replace(  # a bus says again who answers only where its wiring changed
            point, meter_id_read=before.meter_id_read, own_prepaid_on=before.own_prepaid_on
        )
    return point


_WIRING = ("meter_id", "bus_id", "address", "profile")
_DEVICE = (*_WIRING, "incarnation", "pt", "ct")


def _same(before: Place, after: Place, names: tuple[str, ...]) -> bool:
    return all(getattr(before, name) == getattr(after, name) for name in names)
