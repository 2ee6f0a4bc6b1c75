"""The slip: numbers without gaps per issuing point, what stands on it, and printing it again.

What was printed is kept as it was printed: a later change of name or meter changes no slip.
The student's PIN is the one thing on the paper that is not kept; only its hash is, elsewhere.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import cn2an
from sqlalchemy import Connection, RowMapping, func, insert, select, text

from central import audit
from central.rooms import service as rooms
from central.sales import tables
from central.security import Actor
from domain.ledger import Kind, Method
from domain.refusals import Refusal
from domain.units import show_yuan

TITLES: Mapping[Kind, tuple[str, str]] = {
    Kind.opening: ("开户转入凭证", "Opening balance voucher"),
    Kind.sale: ("预付电费收款票据", "Prepaid electricity receipt"),
    Kind.refund: ("退款票据", "Refund receipt"),
    Kind.reversal: ("冲正票据", "Reversal voucher"),
}
ITEMS: Mapping[Kind, tuple[str, str]] = {
    Kind.opening: ("老表金额转入", "Opening balance"),
    Kind.sale: ("售电", "Sale"),
    Kind.refund: ("退电", "Refund"),
    Kind.reversal: ("冲正", "Reversal"),
}
METHODS: Mapping[Method, tuple[str, str]] = {
    Method.cash: ("现金", "Cash"),
    Method.alipay: ("支付宝", "Alipay"),
    Method.wechat: ("微信支付", "WeChat Pay"),
    Method.unionpay: ("银联", "UnionPay"),
    Method.transfer: ("转账", "Bank transfer"),
    Method.campus_card: ("校园卡", "Campus card"),
}
FOOTER = (
    "请当场核对并妥善保管，本票据为缴款唯一凭证。",
    "Please check on the spot and keep this slip: it is the sole proof of payment.",
)

# Taking a number opens its series where there is none: two tills may begin one at the same time.
_NEXT = text(
    "INSERT INTO receipt_counters (issuing_point, n) VALUES (:series, 1)"
    " ON CONFLICT (issuing_point) DO UPDATE SET n = receipt_counters.n + 1 RETURNING n"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the slip's table. `meter_ids` are nameplate numbers, as text."""

    item_zh: str
    item_en: str
    meter_ids: tuple[str, ...]
    room: str
    count: int
    method_zh: str
    method_en: str
    fen: int
    remark: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A slip as issued. Amounts are fen; a refund's are negative, in words too (负).

    `pin` is there on the one slip handed out when the account was opened, and on no reprint.
    """

    receipt_no: str
    issuing_point: str
    n: int
    event_id: str
    purse_id: str
    account_id: str
    kind: Kind
    title_zh: str
    title_en: str
    site: str
    at_ms: int
    lines: tuple[Line, ...]
    total_fen: int
    total_words: str
    count: int
    operator: str
    payer: str
    footer_zh: str
    footer_en: str
    reverses_receipt_no: str | None = None
    pin: str | None = None


def words(fen: int) -> str:
    """Fen as 大写, for example 壹佰元整 or 负贰拾元整; made from a string, never from a float."""
    figure = str(cn2an.an2cn(show_yuan(abs(fen)).replace(",", ""), "rmb"))
    return f"负{figure}" if fen < 0 else figure


def next_number(connection: Connection, series: str) -> int:
    """Take the next number of a series, from 1.

    The counter's row stays locked until the commit, so that a number which was not committed is
    given again and none is left out. Taken last of all locks.
    """
    return int(connection.execute(_NEXT, {"series": series}).scalar_one())


def hand_out(
    connection: Connection,
    event_id: str,
    *,
    n: int,
    issuing_point: str,
    operator: str,
    remark: str,
) -> Receipt:
    """Write the slip of an event that was just booked, as the books stand, and keep it."""
    events = tables.money_events
    event = connection.execute(select(events).where(events.c.event_id == event_id)).mappings().one()
    holder = _holder(connection, event["purse_id"])
    place = rooms.place_of(connection, holder["room_id"])
    kind = Kind(event["kind"])
    method_zh, method_en = METHODS[Method(event["method"])] if event["method"] else ("—", "—")
    line = Line(
        *ITEMS[kind],
        meter_ids=rooms.meters_of_purse(connection, event["purse_id"]),
        room=f"{place.building} {place.room}",
        count=event["count"],
        method_zh=method_zh,
        method_en=method_en,
        fen=event["fen"],
        remark=remark,
    )
    receipt = Receipt(
        receipt_no=event["receipt_no"],
        issuing_point=issuing_point,
        n=n,
        event_id=event_id,
        purse_id=event["purse_id"],
        account_id=holder["account_id"],
        kind=kind,
        title_zh=TITLES[kind][0],
        title_en=TITLES[kind][1],
        site=place.site,
        at_ms=event["at_ms"],
        lines=(line,),
        total_fen=event["fen"],
        total_words=words(event["fen"]),
        count=event["count"],
        operator=operator,
        payer=holder["holder"],
        footer_zh=FOOTER[0],
        footer_en=FOOTER[1],
        reverses_receipt_no=_number_of(connection, event["reverses"]),
    )
    _keep(connection, receipt)
    return receipt


def _holder(connection: Connection, purse_id: str) -> RowMapping:
    accounts = tables.accounts
    wanted = (
        select(accounts.c.account_id, accounts.c.holder, accounts.c.room_id)
        .join(tables.purses, tables.purses.c.account_id == accounts.c.account_id)
        .where(tables.purses.c.purse_id == purse_id)
    )
    return connection.execute(wanted).mappings().one()


def _number_of(connection: Connection, event_id: str | None) -> str | None:
    events = tables.money_events
    number = connection.scalar(select(events.c.receipt_no).where(events.c.event_id == event_id))
    return None if number is None else str(number)


def _keep(connection: Connection, receipt: Receipt) -> None:
    connection.execute(
        insert(tables.receipts).values(
            receipt_no=receipt.receipt_no,
            issuing_point=receipt.issuing_point,
            n=receipt.n,
            event_id=receipt.event_id,
            at_ms=receipt.at_ms,
            content=json.dumps(asdict(receipt), ensure_ascii=False, sort_keys=True),
        )
    )


def find(connection: Connection, receipt_no: str) -> Receipt | None:
    """A slip by its number, as it was handed out, or None."""
    content = connection.scalar(
        select(tables.receipts.c.content).where(tables.receipts.c.receipt_no == receipt_no)
    )
    return None if content is None else _read(content)


def of_number(connection: Connection, receipt_no: str) -> Receipt:
    """A slip that must be there. Raises LookupError where it is not."""
    receipt = find(connection, receipt_no)
    if receipt is None:
        raise LookupError(f"no receipt {receipt_no}")
    return receipt


def of_event(connection: Connection, event_id: str) -> Receipt | None:
    """The slip of a money event, or None where there is no such event."""
    content = connection.scalar(
        select(tables.receipts.c.content).where(tables.receipts.c.event_id == event_id)
    )
    return None if content is None else _read(content)


def reprint(
    connection: Connection, *, actor: Actor, now_ms: int, receipt_no: str
) -> Receipt | Refusal:
    """A slip once more; who printed it again is audited."""
    receipt = find(connection, receipt_no)
    if receipt is None:
        return Refusal.not_found
    audit.record(connection, actor, action="reprint", obj=f"receipt:{receipt_no}", at_ms=now_ms)
    return receipt


def reprints(connection: Connection, receipt_no: str) -> int:
    """How often a slip was printed again."""
    rows = audit.audit_rows
    counted = select(func.count()).where(
        rows.c.object == f"receipt:{receipt_no}", rows.c.action == "reprint"
    )
    return int(connection.scalar(counted) or 0)


def _read(content: str) -> Receipt:
    kept: dict[str, Any] = json.loads(content)
    kept["kind"] = Kind(kept["kind"])
    kept["lines"] = tuple(
        Line(**(line | {"meter_ids": tuple(line["meter_ids"])})) for line in kept["lines"]
    )
    return Receipt(**kept)
