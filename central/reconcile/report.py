"""What an audit found, and how it is told. A difference names what, where, and both figures."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Literal

from domain.instants import Zone
from domain.units import TICKS_PER_FEN, show_kwh, show_yuan

Language = Literal["zh", "en", "both"]
SHOWN = 20  # differences of one kind told one by one; all are counted
CLEAN, DIFFERENT, NOT_LOOKED = 0, 1, 2


class Kind(Enum):
    """What can be different, with its words."""

    # fmt: off
    # the books in themselves
    entry_unbalanced = ("分录借贷不平", "an entry does not balance")
    entry_without_event = ("分录没有对应的收退款记录", "an entry has no money event")
    event_without_entry = ("收退款记录与分录不符", "a money event is not what its entry says")
    event_not_as_audited = ("收退款记录与审计记录不符", "a money event is not what was audited")
    receipt_missing = ("收退款记录没有收据", "a money event has no receipt")
    granted_mismatch = ("累计购电金额不符", "granted is not the sum of the money events")
    count_mismatch = ("购电次数不连续", "the purchase count is not the number of events")
    intent_mismatch = ("待下发额度与账簿不符", "the credit intent is not what the books say")
    audit_chain = ("审计链断裂", "the audit chain is broken")
    # what the gateways said
    fact_missing = ("缺少事实", "a fact is missing")
    fact_changed = ("事实内容已改变", "a fact is not what was chained")
    fact_stray = ("多出的事实", "a fact beyond what is held")
    charge_changed = ("计费行与事实不符", "a charge row is not what the gateway said")
    charge_stray = ("计费行没有对应的事实", "a charge row stands without a fact")
    charge_not_booked = ("计费行未入账也未隔离", "a charge row is neither booked nor set aside")
    set_aside = ("已隔离，待处理", "set aside, not dealt with")
    priced_differently = ("复算电费不同", "the centre prices it differently")
    # centre, gateway and meter at one cut
    charges_broken = ("计费累计断开", "the charges of a purse do not follow one another")
    charged_mismatch = ("已计电费与明细之和不符", "charged is not the sum of its rows")
    gateway_charged_mismatch = ("已计电费与网关不符", "charged is not what the gateway said")
    closed_mismatch = ("销户后仍有计费", "charged is not what it was when the purse was closed")
    gateway_granted_mismatch = ("网关额度与账簿不符", "the gateway's granted is not the books'")
    energy_broken = ("已计电量断开", "the booked energy of a meter has a gap")
    energy_mismatch = ("已计电量不符", "the booked energy is not the end of its rows")
    register_mismatch = ("表码与事实不符", "the register shown is not what was read")
    register_behind = ("表码低于已计电量", "the register is below what was charged")
    # fmt: on

    @property
    def zh(self) -> str:
        """The words in Chinese."""
        return self.value[0]

    @property
    def en(self) -> str:
        """The words in English."""
        return self.value[1]


Figure = int | str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """`subject` says where: `purse:…`, `entry:…`, `journal:… seq 7 row 2`, `meter:…/0`.

    `expected` is what follows from everything else, `found` what stands there; the unit is in the
    name of the kind: fen, ticks, Wh or a number of events. None: nothing.
    """

    kind: Kind
    subject: str
    expected: Figure = None
    found: Figure = None
    detail: str = ""


@dataclass(slots=True)
class Found:
    """Differences as they are collected: all are counted, the first of each kind are kept."""

    kept: list[Difference] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(
        self,
        kind: Kind,
        subject: str,
        *,
        expected: Figure = None,
        found: Figure = None,
        detail: str = "",
    ) -> None:
        """Note a difference."""
        self.counts[kind] += 1
        if self.counts[kind] <= SHOWN:
            self.kept.append(Difference(kind, subject, expected, found, detail))

    def compare(self, kind: Kind, subject: str, *, expected: Figure, found: Figure) -> None:
        """Note a difference unless both are the same."""
        if expected != found:
            self.add(kind, subject, expected=expected, found=found)


@dataclass(frozen=True, slots=True)
class Compared:
    """How much was looked at. Nothing can be clean that was not."""

    entries: int = 0
    events: int = 0
    purses: int = 0
    meters: int = 0
    journals: int = 0
    facts: int = 0
    charge_rows: int = 0
    audit_rows: int = 0

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to compare."""
        return not (self.entries or self.purses or self.meters or self.facts)


@dataclass(frozen=True, slots=True)
class Cut:
    """How far a gateway's open journal is in the books. `head_seq` as the gateway said last."""

    gateway_id: str
    journal_id: str
    held_seq: int
    head_seq: int
    last_seen_ms: int

    @property
    def in_flight(self) -> int:
        """Facts that the gateway has and the books do not hold yet: no difference, only late."""
        return max(self.head_seq - self.held_seq, 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all purses and meters: fen, ticks, Wh."""

    granted_fen: int = 0
    charged_ticks: int = 0
    uncharged_wh: int = 0  # read, but charged to nobody (yet): vacant rooms, an unknown hour

    @property
    def available_fen(self) -> int:
        """What all purses hold together, rounded down to fen."""
        return (self.granted_fen * TICKS_PER_FEN - self.charged_ticks) // TICKS_PER_FEN


@dataclass(frozen=True, slots=True)
class Report:
    """One audit at one moment. `credit_outstanding`: purses whose gateway lags behind the books."""

    at_ms: int
    differences: tuple[Difference, ...]
    counts: tuple[tuple[Kind, int], ...]
    compared: Compared
    cuts: tuple[Cut, ...]
    totals: Totals
    credit_outstanding: int

    @property
    def differences_total(self) -> int:
        """How many differences there are, also those that are not told one by one."""
        return sum(count for _, count in self.counts)

    @property
    def facts_in_flight(self) -> int:
        """Facts that gateways have and the books do not hold yet."""
        return sum(cut.in_flight for cut in self.cuts)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 differences, 2 there was nothing to look at."""
        if self.differences_total:
            return DIFFERENT
        return NOT_LOOKED if self.compared.nothing else CLEAN


def show(report: Report, lang: Language = "both", *, offset_min: int = 480) -> str:
    """The report in words; `offset_min` is local time less UTC in minutes."""
    local = Zone(((0, offset_min),)).local(report.at_ms)
    did, sums = report.compared, report.totals
    lines = [
        _said(lang, f"审计 {local:%Y-%m-%d %H:%M:%S}", "audit"),
        _counted(lang, ("账户", "purses", did.purses), ("电表", "meters", did.meters),
                 ("收退款", "money events", did.events), ("分录", "entries", did.entries),
                 ("事实", "facts", did.facts), ("计费行", "charge rows", did.charge_rows),
                 ("审计记录", "audit rows", did.audit_rows)),
        _said(lang, f"累计购电 {show_yuan(sums.granted_fen)} 元", "granted, yuan"),
        _said(lang, f"累计电费 {show_yuan(sums.charged_ticks // TICKS_PER_FEN)} 元",
              "charged, yuan"),
        _said(lang, f"剩余金额合计 {show_yuan(sums.available_fen)} 元", "available, yuan"),
        _said(lang, f"未计费电量 {show_kwh(sums.uncharged_wh)} kWh", "read, not charged"),
    ]  # fmt: skip
    lines += [_cut(lang, cut) for cut in report.cuts]
    lines.append(
        _counted(
            lang,
            ("在途事实", "facts in flight", report.facts_in_flight),
            ("待网关接收的额度", "credit not yet at the gateway", report.credit_outstanding),
        )
    )
    return "\n".join([*lines, *_verdict(report, lang)])


def to_json(report: Report) -> str:
    """The report for machines."""
    content = {
        "at_ms": report.at_ms,
        "exit_code": report.exit_code,
        "differences_total": report.differences_total,
        "counts": {kind.name: count for kind, count in report.counts},
        "differences": [asdict(each) | {"kind": each.kind.name} for each in report.differences],
        "compared": asdict(report.compared),
        "cuts": [asdict(cut) | {"in_flight": cut.in_flight} for cut in report.cuts],
        "totals": asdict(report.totals) | {"available_fen": report.totals.available_fen},
        "facts_in_flight": report.facts_in_flight,
        "credit_outstanding": report.credit_outstanding,
    }
    return json.dumps(content, ensure_ascii=False, indent=2)


def _verdict(report: Report, lang: Language) -> list[str]:
    if not report.differences_total:
        if report.compared.nothing:
            return [_said(lang, "没有可核对的内容", "there was nothing to compare")]
        return [_said(lang, "无差异", "0 differences")]
    lines = [_difference(lang, each) for each in report.differences]
    hidden = report.differences_total - len(report.differences)
    if hidden:
        lines.append(_said(lang, f"……另有 {hidden} 项", f"… and {hidden} more"))
    total = report.differences_total
    return [*lines, _said(lang, f"差异 {total} 项", f"{total} differences")]


def _difference(lang: Language, each: Difference) -> str:
    figures = ""
    if each.expected is not None or each.found is not None:
        zh = f"应为 {_figure(each.expected)}，实为 {_figure(each.found)}"
        en = f"expected {_figure(each.expected)}, found {_figure(each.found)}"
        figures = f": {en if lang == 'en' else zh}"
    detail = f" ({each.detail})" if each.detail else ""
    return f"✗ {_said(lang, each.kind.zh, each.kind.en)} [{each.subject}]{figures}{detail}"


def _figure(figure: Figure) -> str:
    return "—" if figure is None else str(figure)


def _cut(lang: Language, cut: Cut) -> str:
    zh = f"网关 {cut.gateway_id}：账簿至第 {cut.held_seq} 号，网关至第 {cut.head_seq} 号"
    en = f"gateway {cut.gateway_id}: booked to {cut.held_seq} of {cut.head_seq}"
    return _said(lang, zh, en)


def _counted(lang: Language, *figures: tuple[str, str, int]) -> str:
    return " · ".join(_said(lang, zh, en) + f" {count}" for zh, en, count in figures)


def _said(lang: Language, zh: str, en: str) -> str:
    if lang == "both":
        return f"{zh} {en}"
    return zh if lang == "zh" else en
