"""Centre, gateway and meter at one cut: what is booked of every purse and every meter.

The cut is the watermark of each journal. What the gateways did since is in flight: late, not
different.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, select

from central.metering import tables
from central.reconcile.journals import BEFORE, Meter, Path, RowId, Walked
from central.reconcile.money import Purse, gateway_difference
from central.reconcile.report import Found, Kind, Totals

States = Mapping[str, Row[Any]]


def purse_states(connection: Connection) -> States:
    """What is booked of each purse."""
    return {row.purse_id: row for row in connection.execute(select(tables.purse_states))}


def last_rows(states: States) -> frozenset[RowId]:
    """The booked row that moved each purse last."""
    return frozenset(row for state in states.values() if (row := _last_row(state)) is not None)


def check_purses(
    found: Found, purses: Mapping[str, Purse], states: States, walked: Walked
) -> Totals:
    """Charged and granted of every purse, by the rows, by the gateway and by the books."""
    charged_ticks = 0
    for purse_id in sorted({*purses, *states, *walked.charges}):
        state, subject = states.get(purse_id), f"purse:{purse_id}"
        charged = 0 if state is None else state.charged_ticks
        charged_ticks += charged
        found.compare(
            Kind.charged_mismatch, subject, expected=walked.ticks[purse_id], found=charged
        )
        _check_path(found, subject, walked.charges[purse_id], charged)
        if state is not None:
            _check_state(found, subject, state, purses.get(purse_id), walked)
    return Totals(sum(purse.granted_fen for purse in purses.values()), charged_ticks)


def _check_path(found: Found, subject: str, path: Path, charged: int) -> None:
    whole = ([], []) if not charged else ([0], [charged])
    if (path.starts, path.stops) != whole:
        detail = f"{path.stops} → {path.starts}"
        found.add(Kind.charges_broken, subject, expected=f"0 → {charged}", detail=detail)


def _check_state(
    found: Found, subject: str, state: Row[Any], purse: Purse | None, walked: Walked
) -> None:
    last = _last_row(state)
    said = None if last is None else walked.said.get(last)
    if last is not None or state.charged_ticks:
        place = subject if last is None else f"{subject} journal:{last[0]} seq {last[1]}"
        found.compare(
            Kind.gateway_charged_mismatch, place, expected=said, found=state.charged_ticks
        )
    if state.closed_charged_ticks is not None:
        found.compare(
            Kind.closed_mismatch, subject, expected=state.closed_charged_ticks,
            found=state.charged_ticks,
        )  # fmt: skip
    if state.gateway_count is not None and purse is not None:
        differs = gateway_difference(purse, state.gateway_count, state.gateway_granted_fen)
        if differs is not None:
            found.add(
                Kind.gateway_granted_mismatch, subject, expected=differs[0], found=differs[1],
                detail=f"count {state.gateway_count}",
            )  # fmt: skip


def check_meters(connection: Connection, found: Found, walked: Walked) -> tuple[int, int]:
    """The booked energy and the register of every meter. How many; and Wh charged to nobody yet."""
    booked = {
        (row.meter_id, row.incarnation): row.booked_to_wh
        for row in connection.execute(select(tables.meter_totals))
    }
    for meter in sorted({*booked, *walked.energy}):
        _check_energy(found, meter, walked, booked.get(meter))
    seen, uncharged_wh = set(booked), 0
    for state in connection.execute(select(tables.point_states)):
        if state.meter_id is None:
            continue
        meter = (state.meter_id, state.incarnation)
        seen.add(meter)
        uncharged_wh += _check_register(connection, found, state, booked.get(meter))
    return len(seen), uncharged_wh


def _check_energy(found: Found, meter: Meter, walked: Walked, booked_wh: int | None) -> None:
    path, subject = walked.energy[meter], _name(meter)
    if meter in walked.opened:
        whole = path.starts == [BEFORE] and len(path.stops) == 1
    else:  # first sight was a charge row, which may start anywhere
        whole = len(path.starts) == 1 and len(path.stops) == 1
    if not whole:
        gaps = f"{path.stops} → {[wh for wh in path.starts if wh != BEFORE]}"
        found.add(Kind.energy_broken, subject, expected=booked_wh, detail=gaps)
    elif path.stops != [booked_wh]:
        found.add(Kind.energy_mismatch, subject, expected=path.stops[0], found=booked_wh)


def _check_register(
    connection: Connection, found: Found, state: Row[Any], booked_wh: int | None
) -> int:
    """The register shown is the one the gateway read, and not below what was charged."""
    subject = f"{_name((state.meter_id, state.incarnation))} point:{state.point_id}"
    facts = tables.facts
    text = connection.scalar(
        select(facts.c.text).where(
            facts.c.journal_id == state.read_journal_id, facts.c.seq == state.read_seq
        )
    )
    read = None if text is None else _reading(json.loads(text), state)
    shown = (state.register_wh, state.total_wh)
    if read != shown:
        found.add(
            Kind.register_mismatch, subject, expected=None if read is None else str(read),
            found=str(shown), detail=f"journal:{state.read_journal_id} seq {state.read_seq}",
        )  # fmt: skip
    total_wh: int = state.total_wh
    if booked_wh is None:
        return 0
    if total_wh < booked_wh:
        found.add(Kind.register_behind, subject, expected=booked_wh, found=total_wh)
    return max(total_wh - booked_wh, 0)


def _reading(fact: Mapping[str, Any], state: Row[Any]) -> tuple[int, int] | None:
    rows = zip(fact.get("point_id", ()), fact.get("meter_id", ()), fact.get("incarnation", ()),
               fact.get("register_wh", ()), fact.get("total_wh", ()), strict=False)  # fmt: skip
    for point_id, meter_id, incarnation, register_wh, total_wh in rows:
        if (point_id, meter_id, incarnation) == (state.point_id, state.meter_id, state.incarnation):
            return register_wh, total_wh
    return None


def _last_row(state: Row[Any]) -> RowId | None:
    if state.charged_journal_id is None:
        return None
    return state.charged_journal_id, state.charged_seq, state.charged_row


def _name(meter: Meter) -> str:
    return f"meter:{meter[0]}/{meter[1]}"
