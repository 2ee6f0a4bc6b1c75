"""Relays: commanded to the position that the supply state wants, and believed when read back.

A decision commands at once; a meter that shows otherwise on two polls is commanded again, which is
also how a command lost with the power, or with the process, is made good. Nothing here decides.
"""

from domain import supply
from domain.supply import Relay, State
from domain.wire.facts import RelayResult
from edge.draft import Draft
from edge.effects import SwitchRelay
from edge.events import RelayMoved
from edge.meters.snapshot import prove_over_two_polls
from edge.picture import Command, Point, Reading

MISMATCH = "relay_mismatch"
_UNLIKE_POLLS = 2
_HELD = (State.held_on, State.held_off)


def obey(draft: Draft, point_id: str) -> None:
    """Command the relay to what was just decided, unless it stands there already.

    A meter that does not answer, or is not in service, is left alone: `check` commands it when it
    is back. Whether its register is believed does not matter.
    """
    point = draft.points[point_id]
    memory = point.memory
    assert memory is not None
    wanted = supply.wanted(memory.state)
    if wanted is None or not point.in_service or point.missing or point.shown is None:
        return
    on_its_way = None if point.command is None else point.command.wanted
    if on_its_way is wanted or (on_its_way is None and memory.relay is wanted):
        return
    _command(draft, point_id, wanted)


def _command(draft: Draft, point_id: str, wanted: Relay) -> None:
    point = draft.points[point_id]
    memory = point.memory
    assert memory is not None
    command = Command(wanted, memory.decided_seq, draft.now.mono_ms)
    draft.change(point_id, command=command, unlike_polls=0)
    draft.switch(SwitchRelay(point_id, point.bus_id, wanted, memory.decided_seq))


def see(draft: Draft, before: Point | None, point: Point) -> None:
    """Learn where the relay stands from the newest poll; `before` is the point a cycle ago."""
    memory = point.memory
    assert memory is not None
    assert point.shown is not None
    seen = point.shown
    if seen is Relay.unknown and point.point_id in draft.polled:
        seen = _proved(point, None if before is None else before.reading)
    if seen is not Relay.unknown and seen is not memory.relay:
        draft.remember(point.point_id, relay=seen)


def _proved(point: Point, before: Reading | None) -> Relay:
    """What power and energy of two believed polls prove of a contact that is not shown."""
    assert point.memory is not None
    if point.reading is None or point.profile.relay.proof == "bit" or before is None:
        return Relay.unknown
    commanded = supply.wanted(point.memory.state) or Relay.unknown
    return prove_over_two_polls(before.snapshot, point.reading.snapshot, commanded=commanded)


def check(draft: Draft, point_id: str) -> None:
    """After a poll and its decisions: command again where the meter shows otherwise twice."""
    point = draft.points[point_id]
    memory, rules = point.memory, draft.picture.rules
    assert memory is not None
    wanted = supply.wanted(memory.state)
    if point.command is not None:
        if draft.now.mono_ms - point.command.since_mono_ms <= rules.command_ms:
            return
        draft.warn("relay_command_lost", point_id=point_id)
        point = draft.change(point_id, command=None)
    if wanted is None or memory.relay is Relay.unknown or memory.relay is wanted:
        if wanted is memory.relay:
            draft.clear_alarm(point_id, MISMATCH)
        if point.unlike_polls or point.retries:
            draft.change(point_id, unlike_polls=0, retries=0, failed=None)
        return
    point = draft.change(point_id, unlike_polls=point.unlike_polls + 1)
    if point.unlike_polls < _UNLIKE_POLLS:
        draft.read_soon(point_id)
    elif draft.now.mono_ms >= point.retry_mono_ms:
        _command(draft, point_id, wanted)


def take_result(draft: Draft, event: RelayMoved) -> None:
    """Write down how a command ended; a failure that repeats itself is written once."""
    point = draft.points.get(event.point_id)
    if point is None or point.memory is None:
        return
    failed = None if event.seen is event.wanted else (event.wanted, event.seen)
    if failed is None or failed != point.failed:
        _write_result(draft, point, event)
    if event.seen is not Relay.unknown:
        draft.remember(event.point_id, relay=event.seen)
    if point.command is not None and point.command.wanted is event.wanted:
        draft.change(event.point_id, command=None)
    if failed is None:
        draft.change(event.point_id, failed=None, retries=0, retry_mono_ms=0)
        draft.clear_alarm(event.point_id, MISMATCH)
    else:
        _back_off(draft, event.point_id, failed)


def _write_result(draft: Draft, point: Point, event: RelayMoved) -> None:
    assert point.memory is not None
    held = draft.supply.get(event.point_id)
    by_staff = held is not None and point.memory.state in _HELD
    draft.write(
        RelayResult,
        point_id=event.point_id,
        wanted=event.wanted,
        seen=event.seen,
        tries=event.tries,
        command_id=held.command_id if held is not None and by_staff else None,
        decided_seq=event.ref,
    )


def _back_off(draft: Draft, point_id: str, failed: tuple[Relay, Relay]) -> None:
    point, rules = draft.points[point_id], draft.picture.rules
    pause_ms = min(rules.retry_ms * 2 ** min(point.retries, 16), rules.retry_max_ms)
    draft.change(
        point_id,
        failed=failed,
        retries=point.retries + 1,
        retry_mono_ms=draft.now.mono_ms + pause_ms,
    )
    draft.raise_alarm(
        point_id,
        MISMATCH,
        f"继电器未到位 / the relay is not where it should be: {failed[0]} ≠ {failed[1]}",
        severity="critical",
    )
