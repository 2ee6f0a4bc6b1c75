"""A gateway's voice for the office's tests: facts numbered and chained as a journal would."""

from dataclasses import dataclass, field
from typing import Any

from central.metering.service import Arrived
from domain.wire.facts import RawBatch, canonical, chain, encode_batch, parse_batch
from domain.wire.fields import CHAIN_START
from tests.central.campus import NOW_MS

JOURNAL = "01jh2kzzzzzzzzzzzzzzzzzzz0"
METER = "000000000001"
MINUTE_MS = 60_000


@dataclass
class Voice:
    """A journal that grows. Times go on by a minute a fact unless said."""

    journal_id: str = JOURNAL
    gateway_id: str = "g1"
    key_epoch: int = 1
    at_ms: int = NOW_MS
    texts: list[str] = field(default_factory=list)
    chains: list[str] = field(default_factory=lambda: [CHAIN_START])

    @property
    def head_seq(self) -> int:
        return len(self.texts)

    def say(self, kind: str, **content: Any) -> int:
        """Write a fact; its seq."""
        seq = self.head_seq + 1
        self.at_ms += MINUTE_MS
        stamp = {"at_ms": self.at_ms, "trust": 3, "boot": 1, "mono_ms": self.at_ms - NOW_MS}
        text = canonical({"kind": kind, "seq": seq} | stamp | content)
        self.texts.append(text)
        self.chains.append(chain(self.chains[-1], text))
        return seq

    def opens(self, reason: str = "first", previous: str | None = None) -> int:
        return self.say(
            "journal_opened",
            previous_journal_id=previous, reason=reason, software="test", snapshot_version=None,
        )  # fmt: skip

    def reads(
        self, point_id: str, total_wh: int, *, purpose: str = "interval", **changed: Any
    ) -> int:
        usual = {
            "purpose": purpose, "point_id": [point_id], "meter_id": [METER], "incarnation": [0],
            "register_wh": [total_wh], "total_wh": [total_wh], "rate_wh": None,
            "meter_balance_fen": None, "meter_count": [None], "quality": ["good"],
        }  # fmt: skip
        return self.say("readings", **(usual | changed))

    def charges(self, *rows: dict[str, Any]) -> int:
        return self.say("charges", **{name: [row[name] for row in rows] for name in rows[0]})

    def takes_credit(self, purse_id: str, version: int | None, **changed: Any) -> int:
        usual = {"count": 1, "granted_fen": 5_000, "source": "intent"}
        return self.say("credit_taken", purse_id=purse_id, version=version, **(usual | changed))

    def batch(self, first: int = 1, last: int | None = None) -> RawBatch:
        """Facts `first` to `last` as they come out of an envelope."""
        return parse_batch(
            encode_batch(
                journal_id=self.journal_id,
                first_seq=first,
                chain_before=self.chains[first - 1],
                texts=self.texts[first - 1 : last],
            )
        )

    def arrives(
        self, first: int = 1, last: int | None = None, *, received_ms: int = NOW_MS
    ) -> Arrived:
        return Arrived(self.gateway_id, self.key_epoch, self.batch(first, last), received_ms)


def charge(
    purse_id: str, point_id: str, from_wh: int, to_wh: int, charged: int, **changed: Any
) -> dict[str, Any]:
    """A charge row at 0.56 yuan/kWh; `charged` is the purse's total before it."""
    wh = to_wh - from_wh
    ticks = wh * 5_600
    part = {"rate": 3, "tier": 0, "wh": wh, "price_e4": 5_600, "estimated": False}
    row = {
        "purse_id": purse_id, "point_id": point_id, "meter_id": METER, "incarnation": 0,
        "from_wh": from_wh, "to_wh": to_wh, "from_ms": NOW_MS, "to_ms": NOW_MS + 30 * MINUTE_MS,
        "parts": [part], "tariff_version": 1, "ticks": ticks, "charged_ticks": charged + ticks,
    }  # fmt: skip
    return row | changed
