"""What the wire itself takes: the time below which no master can poll a bus, however good."""

from edge.bus import codec
from edge.bus.codec import Request
from edge.meters import profile as profiles
from edge.meters.profile import Profile
from simulator.bus import Wire
from simulator.demo.plan import PROFILE

WIRE = Wire()


def meter_profile() -> Profile:
    """The type of meter that all benches run on."""
    return profiles.load(profiles.default_directory() / f"{PROFILE}.toml")


def transaction_s(request: Request) -> float:
    """Request, silence, turnaround, reply, silence: in seconds."""
    characters = len(request.frame) + request.reply_bytes
    return characters * WIRE.byte_s + 2 * WIRE.t35_s + WIRE.turnaround_ms / 1000


def poll_s() -> float:
    """One poll of one meter."""
    return transaction_s(codec.read_request(1, meter_profile().poll))


def round_s(meters: int) -> float:
    """One poll of every meter of a bus."""
    return meters * poll_s()


def relay_s() -> float:
    """A relay command and the poll that reads it back, behind the poll that was on its way."""
    relay = meter_profile().relay
    command = codec.write_request(1, relay.address, relay.trip)
    return 2 * poll_s() + transaction_s(command)
