"""What is said to a meter, in whole sentences: poll it, ask who it is, tell its relay.

An answer that is intact but cannot come from this type of meter is no answer. PortLost passes
through; everything else that goes wrong comes back as a Reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from edge import faults
from edge.bus import codec
from edge.bus.codec import Refused, Request
from edge.bus.line import Line
from edge.bus.station import Station
from edge.meters import snapshot
from edge.meters.snapshot import Snapshot

VOLTAGE_MAX_DV = 5000  # 500 V: beyond what any phase of a low-voltage grid shows


class Reason(StrEnum):
    """Why a poll is missing."""

    no_reply = "no_reply"
    bad_reply = "bad_reply"
    refused = "refused"
    nonsense = "nonsense"
    other_meter = "other_meter"
    port_lost = "port_lost"


@dataclass(frozen=True, slots=True)
class Introduction:
    """Who answers at an address, and whether its own prepaid control 费控 is on."""

    meter_id: str
    own_prepaid_on: bool


async def poll(line: Line, station: Station) -> Snapshot | Reason:
    """One poll of a meter, one attempt."""
    words = await _read(line, station, station.poll)
    if isinstance(words, Reason):
        return words
    taken = snapshot.read(station.slot.profile, words)
    return taken if _plausible(taken, station) else Reason.nonsense


async def introduce(line: Line, station: Station) -> Introduction | Reason:
    """Ask a meter for its number and its own prepaid control."""
    profile = station.slot.profile
    identity = await _read(line, station, station.identity)
    if isinstance(identity, Reason):
        return identity
    own_prepaid = await _read(line, station, station.own_prepaid)
    if isinstance(own_prepaid, Reason):
        return own_prepaid
    try:
        meter_id = snapshot.meter_number(profile, identity)
    except ValueError:  # digits above 9: not a meter number
        return Reason.nonsense
    return Introduction(meter_id, snapshot.own_prepaid_on(profile, own_prepaid))


async def tell_relay(line: Line, station: Station, words: Sequence[int]) -> bool:
    """Write the relay command once; True when the meter acknowledged it.

    False says nothing about the relay: the command may have arrived. Read before writing again.
    """
    reply = await _say(line, station, station.command(words))
    return not isinstance(reply, Reason) and codec.refusal_in(reply) is None


async def _read(line: Line, station: Station, request: Request) -> tuple[int, ...] | Reason:
    reply = await _say(line, station, request)
    if isinstance(reply, Reason):
        return reply
    words = codec.words_in(request, reply)
    return Reason.refused if isinstance(words, Refused) else words


async def _say(line: Line, station: Station, request: Request) -> bytes | Reason:
    try:
        answer = await line.transact(
            request,
            first_byte_timeout_ms=station.first_byte_timeout_ms,
            quiet_ms=station.quiet_ms,
        )
    except faults.NoReply as fault:
        station.kept_silent(fault.late_ms)
        return Reason.no_reply
    except faults.BadReply:
        station.garbled()
        return Reason.bad_reply
    station.answered(answer.first_byte_ms)
    return answer.frame


def _plausible(taken: Snapshot, station: Station) -> bool:
    """Whether this type of meter can say so; energy is judged where its past is known."""
    type_code = station.slot.profile.type_code
    known_type = None in (taken.type_code, type_code) or taken.type_code == type_code
    return known_type and abs(taken.pf_milli) <= 1000 and taken.voltage_dv <= VOLTAGE_MAX_DV
