"""Faults on demand: a Unix socket that takes one JSON object a line and answers one.

    {"all": true}                                        every meter and every line
    {"meter": "310000000007", "get": true}               its true register, relay, faults …
    {"meter": "310000000007", "fault": "slow", "value": 300}
    {"meter": "310000000007", "fault": "dead", "value": false}
    {"meter": "310000000007", "load_w": 2000}            null gives the room its own load back
    {"meter": "310000000007", "register_wh": 999999900}
    {"meter": "310000000007", "own_prepaid": true}
    {"bus": "b1-2", "get": true}
    {"bus": "b1-2", "fault": "power_cut", "value": false}

The answer is {"ok": true, …} or {"ok": false, "error": "…"}; what is refused changes nothing.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from simulator import faults
from simulator.bus import VirtualBus
from simulator.campus import Campus
from simulator.meter import VirtualMeter

_LINE_MAX = 4096
_REQUEST = "应为一行 JSON 对象 / should be one JSON object a line"


class Control:
    """The control socket of a campus."""

    def __init__(self, campus: Campus, *, now_ms: Callable[[], int]) -> None:
        self._campus = campus
        self._now_ms = now_ms

    async def open(self, path: Path) -> asyncio.Server:
        """Listen at a path that only the owner may use. A socket left over there is replaced."""
        _make_room(path)
        before = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(self._client, path, limit=_LINE_MAX)
        finally:
            os.umask(before)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # the client left: nothing is owed to it
            while line := await _line(reader):
                writer.write(json.dumps(self.obey(line), ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        writer.close()

    def obey(self, line: bytes) -> dict[str, object]:
        """Carry out one request and answer it."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError(_REQUEST)
            return {"ok": True, **self._obeyed(request)}
        except json.JSONDecodeError:
            return {"ok": False, "error": _REQUEST}
        except ValueError as error:
            return {"ok": False, "error": str(error)}

    def _obeyed(self, request: Mapping[str, object]) -> dict[str, object]:
        if request.get("all") is True:
            return {
                "meters": [self._meter_picture(one) for one in self._campus.meters.values()],
                "buses": [_bus_picture(bus) for bus in self._campus.buses.values()],
            }
        if "bus" in request:
            return self._bus(request)
        meter = self._campus.meters.get(str(request.get("meter")))
        if meter is None:
            raise ValueError(f"没有这块表 {request.get('meter')} / no such meter")
        self._change(meter, request)
        return self._meter_picture(meter)

    def _bus(self, request: Mapping[str, object]) -> dict[str, object]:
        bus = self._campus.buses.get(str(request["bus"]))
        if bus is None:
            raise ValueError(f"没有这条总线 {request['bus']} / no such bus")
        if "fault" in request:
            if request["fault"] != "power_cut":
                raise ValueError("总线只有 power_cut 一种故障 / a bus knows only power_cut")
            bus.set_power(not _flag(request, "value", default=True))
        return _bus_picture(bus)

    def _change(self, meter: VirtualMeter, request: Mapping[str, object]) -> None:
        now_ms = self._now_ms()
        known = {"meter", "get", "fault", "value", "load_w", "register_wh", "own_prepaid"}
        if odd := sorted(set(request) - known):
            raise ValueError(f"不认识 {odd[0]} / unknown key {odd[0]}")
        if "fault" in request:
            _fault(meter, str(request["fault"]), request.get("value"), now_ms)
        if "load_w" in request:
            given = request["load_w"]
            meter.set_load(None if given is None else _number(request, "load_w", 10**6), now_ms)
        if "register_wh" in request:
            modulus_wh = meter.profile.limits.modulus_wh
            meter.set_register(_number(request, "register_wh", modulus_wh - 1), now_ms)
        if "own_prepaid" in request:
            meter.set_own_prepaid(_flag(request, "own_prepaid", default=True), now_ms)

    def _meter_picture(self, meter: VirtualMeter) -> dict[str, object]:
        meter.advance(self._now_ms())
        memory = meter.memory
        return {
            "meter": meter.number,
            "answers_as": memory.number,
            "address": meter.address,
            "profile": meter.profile.name,
            "register_wh": meter.register_wh,
            "power_w": meter.electrics().power_w,
            "relay": "closed" if memory.relay_closed else "open",
            "force": [memory.force_on, memory.force_open],
            "count": memory.count,
            "balance_fen": meter.balance_fen,
            "own_prepaid": memory.own_prepaid,
            "powered": meter.powered,
            "faults": asdict(meter.faults),
        }


def _make_room(path: Path) -> None:
    if path.is_socket():
        path.unlink()


def _bus_picture(bus: VirtualBus) -> dict[str, object]:
    return {
        "bus": bus.bus_id,
        "link": str(bus.link),
        "meters": [meter.number for meter in bus.meters],
        "powered": all(meter.powered for meter in bus.meters),
        "counts": asdict(bus.counts),
    }


def _fault(meter: VirtualMeter, name: str, value: object, now_ms: int) -> None:
    if name == "reset":
        meter.set_register(0, now_ms)
    elif name == "swapped":
        number = "999" + meter.number[3:] if value is None else value
        if not isinstance(number, str) or not (len(number) == 12 and number.isdecimal()):
            raise ValueError("swapped: 表号应为 12 位数字 / the other number has 12 digits")
        meter.swap(number, now_ms)
    else:
        faults.stand(meter.faults, name, value)
        meter.set_stuck(meter.faults.stuck)


def _flag(request: Mapping[str, object], key: str, *, default: bool) -> bool:
    value = request.get(key, default)
    if not isinstance(value, bool):
        raise ValueError(f"{key}: 应为 true 或 false / should be true or false")
    return value


def _number(request: Mapping[str, object], key: str, most: int) -> int:
    value = request[key]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{key}: 应为 0 至 {most} 的整数 / a whole number from 0 to {most}")
    return value


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than any request: the connection is of no use any more
        return b""
