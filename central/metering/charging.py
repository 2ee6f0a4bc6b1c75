"""Charge rows into the books: booked where they join, set aside where not, priced again always.

The gateway's figure is what is booked; what the centre makes of the same energy is compared, and a
difference is a line in the report, never a correction.
"""

import json
from dataclasses import asdict
from typing import Any, NamedTuple

from central.metering import tables
from central.metering.context import Context
from central.metering.draft import Draft
from central.metering.prices import priced
from domain.booking import joins
from domain.wire.facts import ChargeCorrected, ChargePart, Charges


class _Charge(NamedTuple):
    """One row of a charges fact, in the order of `_rows`."""

    row: int
    purse_id: str
    point_id: str
    meter_id: str
    incarnation: int
    from_wh: int
    to_wh: int
    from_ms: int
    to_ms: int
    parts: tuple[ChargePart, ...]
    tariff_version: int
    ticks: int
    charged_ticks: int


def book_charges(draft: Draft, context: Context, fact: Charges) -> None:
    """Book every row that joins; set the others aside, each with its reason."""
    is_booked = False
    for row in _rows(fact):
        reason, detail = _fault(draft, context, row)
        reason = reason or joins(
            booked_to_wh=draft.booked_to_wh(row.meter_id, row.incarnation),
            booked_charged_ticks=draft.charged_ticks(row.purse_id),
            from_wh=row.from_wh,
            charged_ticks=row.charged_ticks,
            ticks=row.ticks,
            journal_closed=not context.is_open,
        )
        if reason is not None:
            context.set_aside(
                draft, fact, reason=str(reason), row=row.row, detail=detail, text=_text(row)
            )
            continue
        _book(draft, context, fact, row)
        is_booked = True
    if context.is_open and fact.ticks:
        context.charges.append((fact.seq, is_booked))


def book_correction(draft: Draft, context: Context, fact: ChargeCorrected) -> None:
    """Book a correction of a charge where the purse's total joins."""
    booked = draft.charged_ticks(fact.purse_id)
    reason = None
    if draft.gateway_of_purse.get(fact.purse_id) != context.gateway_id:
        reason = "foreign_purse"
    elif fact.charged_ticks != booked + fact.ticks:
        reason = "money_mismatch"
    elif not context.is_open:
        reason = "journal_closed"
    if reason is not None:
        context.set_aside(draft, fact, reason=reason)
        return
    draft.add(
        tables.corrections, context.journal_id, fact.seq, fact.corrects_seq, fact.row,
        fact.purse_id, fact.ticks, fact.charged_ticks, fact.reason, fact.at_ms,
    )  # fmt: skip
    draft.charge(
        fact.purse_id, fact.charged_ticks, journal_id=context.journal_id, seq=fact.seq,
        row=tables.WHOLE_FACT, at_ms=fact.at_ms,
    )  # fmt: skip


def _rows(fact: Charges) -> list[_Charge]:
    columns = (getattr(fact, name) for name in Charges.columns)
    return [_Charge(row, *cells) for row, cells in enumerate(zip(*columns, strict=True))]


def _fault(draft: Draft, context: Context, row: _Charge) -> tuple[str | None, str]:
    """Why a row cannot be looked at at all, with what was found."""
    if draft.gateway_of_purse.get(row.purse_id) != context.gateway_id:
        return "foreign_purse", row.purse_id
    place = draft.places.get(row.point_id)
    if place is not None and place.gateway_id != context.gateway_id:
        return "foreign_point", row.point_id
    if row.to_wh < row.from_wh:
        return "bad_row", f"to_wh {row.to_wh} < from_wh {row.from_wh}"
    return None, ""


def _book(draft: Draft, context: Context, fact: Charges, row: _Charge) -> None:
    draft.add(
        tables.charges, context.journal_id, fact.seq, row.row, row.purse_id, row.point_id,
        row.meter_id, row.incarnation, row.from_wh, row.to_wh, row.from_ms, row.to_ms,
        _parts_text(row.parts), row.tariff_version, row.ticks, row.charged_ticks,
    )  # fmt: skip
    draft.book_to(row.meter_id, row.incarnation, point_id=row.point_id, to_wh=row.to_wh)
    draft.charge(
        row.purse_id, row.charged_ticks, journal_id=context.journal_id, seq=fact.seq, row=row.row,
        at_ms=fact.at_ms,
    )  # fmt: skip
    _compare(draft, context, fact, row)


def _compare(draft: Draft, context: Context, fact: Charges, row: _Charge) -> None:
    """Price the row by the centre's own tables and tier position, and note what differs."""
    place = draft.places.get(row.point_id)
    pricing = None if place is None else draft.pricings.get((place.tariff_id, place.site_id))
    wh, ours = row.to_wh - row.from_wh, None
    if pricing is not None:
        ours = priced(pricing, draft.position(row.point_id), wh, (row.from_ms, row.to_ms))
    reason = None
    if not _adds_up(row.parts, wh, row.ticks):
        reason = "parts_do_not_add_up"
    elif ours is None:
        reason = "no_price" if pricing is None else "span_not_priceable"
    elif ours.ticks != row.ticks:
        reason = "priced_differently"
    if ours is not None:
        draft.move_position(row.point_id, ours.position)
    if reason is not None:
        draft.add(
            tables.differences, context.journal_id, fact.seq, row.row, row.purse_id, row.point_id,
            row.ticks, None if ours is None else ours.ticks, reason, fact.at_ms,
        )  # fmt: skip


def _adds_up(parts: tuple[ChargePart, ...], wh: int, ticks: int) -> bool:
    for part in parts:
        wh -= part.wh
        ticks -= part.wh * part.price_e4
    return wh == 0 == ticks


def _parts_text(parts: tuple[ChargePart, ...]) -> str:
    """JSON, written out because there is one for every row."""
    cells = [f"[{p.rate},{p.tier},{p.wh},{p.price_e4},{p.estimated:d}]" for p in parts]
    return f"[{','.join(cells)}]"


def _text(row: _Charge) -> str:
    content: dict[str, Any] = row._asdict() | {"parts": [asdict(part) for part in row.parts]}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
