"""The gateway's own door: a Unix socket on which a technician asks the running service.

One JSON line in, one JSON line out. `{"ask": "status"}` tells how everything stands;
`{"ask": "read", "meter": "031601000001"}` polls that meter now and tells what it said. Only users
who may open the socket (mode 0600) can ask, and nothing here changes anything.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from domain.supply import Relay
from edge.clock import Clock
from edge.effects import ReadSoon
from edge.journal import Journal
from edge.live import available_ticks
from edge.meters.snapshot import same_meter
from edge.picture import Picture, Point
from edge.uplink import Uplink

REQUEST_MAX_BYTES = 4096
READ_WAIT_S = 6.0
_LOOK_AGAIN_S = 0.1


class LocalDoor:
    """Answers on the socket while `serving` is entered; knows the newest picture, changes none."""

    def __init__(
        self,
        path: Path,
        *,
        picture: Callable[[], Picture],
        read_soon: Callable[[ReadSoon], None],
        journal: Journal,
        uplink: Uplink,
        clock: Clock,
    ) -> None:
        self._path, self._picture, self._read_soon = path, picture, read_soon
        self._journal, self._uplink, self._clock = journal, uplink, clock

    async def run(self) -> None:
        """Serve until cancelled; a socket left behind by a killed service is taken over."""
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(
            self._serve, sock=_bound(self._path), limit=REQUEST_MAX_BYTES
        )
        try:
            async with server:
                await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(await reader.readline())
        except ValueError as error:  # not JSON, or a line without an end
            answer = {"error": f"看不懂的请求 / not understood: {error}"}
        writer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            return  # whoever asked has gone

    async def _answer(self, line: bytes) -> dict[str, Any]:
        request = json.loads(line)
        match request:
            case {"ask": "status"}:
                return self._status()
            case {"ask": "read", "meter": str(meter)}:
                return await self._read(meter)
        raise ValueError("ask 须为 status 或 read / must be status or read")

    def _status(self) -> dict[str, Any]:
        picture, now, series = self._picture(), self._clock.now(), self._journal.series
        return {
            "gateway_id": picture.rules.gateway_id,
            "at_ms": now.at_ms,
            "trust": now.trust.name,
            "boot": series.boot,
            "journal_id": series.journal_id,
            "head_seq": series.head_seq,
            "held_seq": series.held_seq,
            "broker_connected": self._uplink.connected,
            "refused_messages": self._uplink.refused,
            "stuck_seq": self._uplink.stuck_seq,
            "old_intents": picture.old_intents,
            "alarms": [
                {"subject": subject, "code": code, "detail": alarm.detail}
                for (subject, code), alarm in sorted(picture.alarms.items())
            ],
            "points": [self._point(picture, point) for point in picture.points.values()],
        }

    def _point(self, picture: Picture, point: Point) -> dict[str, Any]:
        memory, reading, purse_id = point.memory, point.reading, point.place.purse_id
        purse = None if purse_id is None else picture.purses.get(purse_id)
        return {
            "point_id": point.point_id,
            "meter_id": point.place.meter_id,
            "bus_id": point.bus_id,
            "address": point.place.address,
            "heard_ms_ago": self._clock.now().mono_ms - point.heard_mono_ms,
            "in_service": point.in_service,
            "meter_id_read": point.meter_id_read,
            "own_prepaid_on": point.own_prepaid_on,
            "total_wh": None if memory is None else memory.seen.total_wh,
            "power_w": None if reading is None else reading.snapshot.power_w * point.ratio,
            "voltage_dv": None if reading is None else reading.snapshot.voltage_dv,
            "current_ca": None if reading is None else reading.snapshot.current_ca,
            "relay": Relay.unknown if reading is None else reading.snapshot.relay,
            "supply": None if memory is None else memory.state,
            "purse_id": purse_id,
            "purse_version": None if purse is None else purse.purse.version,
            "purse_count": None if purse is None else purse.purse.count,
            "available_ticks": None if purse_id is None else available_ticks(picture, purse_id),
        }

    async def _read(self, meter: str) -> dict[str, Any]:
        """Poll one meter ahead of its turn and tell what a poll after this request said."""
        found = [
            point
            for point in self._picture().points.values()
            if same_meter(meter, point.place.meter_id) or point.point_id == meter
        ]
        if not found:
            return {"error": f"本机没有表 {meter} / no meter {meter} hangs on this gateway"}
        point_id, bus_id = found[0].point_id, found[0].bus_id
        asked_mono_ms = self._clock.now().mono_ms
        self._read_soon(ReadSoon(point_id, bus_id))
        for _ in range(int(READ_WAIT_S / _LOOK_AGAIN_S)):
            await asyncio.sleep(_LOOK_AGAIN_S)
            picture = self._picture()
            point = picture.points.get(point_id)
            if point and point.reading and point.reading.stamp.mono_ms >= asked_mono_ms:
                return self._point(picture, point)
        return {"error": f"表 {meter} 没有应答 / meter {meter} did not answer"}


def _bound(path: Path) -> socket.socket:
    """A socket at `path` that was nobody else's to open at any moment."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    except OSError:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound
