"""A process that sells until it is killed, many times over, on one SQLite file.

Run as `python -m tests.central.killed_sales DATABASE ACKNOWLEDGED PURSE KILLS`. One parent imports
everything once and forks a till for every round; the till writes each acknowledged request to a
pipe, and is killed with SIGKILL at a moment that the round's number decides. The parent appends
what was acknowledged to the file ACKNOWLEDGED: one line `request_id receipt_no fen` each.
"""

import asyncio
import os
import select
import signal
import sys
from pathlib import Path

from central.database import Database
from central.sales import service as sales
from domain.ids import ulid
from domain.ledger import Method
from tests.central.campus import CASHIER, NOW_MS

SALES_A_ROUND = 400  # more than a till can make before it is killed


async def sell_on(url: str, purse_id: str, kill: int, acknowledge: int) -> None:
    """Sell and acknowledge until somebody ends this process."""
    database = await Database.open(url)
    for n in range(SALES_A_ROUND):
        request_id = f"{kill}-{n}"
        numbers = iter(range(100))
        seed = (kill * SALES_A_ROUND + n) << 8
        receipt = await database.write(
            sales.sell,
            actor=CASHIER,
            now_ms=NOW_MS,
            new_id=lambda: ulid(NOW_MS, (1 << 60 | seed | next(numbers)).to_bytes(10)),  # noqa: B023
            request_id=request_id,
            purse_id=purse_id,
            fen=1 + n,
            method=Method.cash,
            till=sales.Till(cap_fen=None),
        )
        assert isinstance(receipt, sales.Receipt), receipt
        os.write(acknowledge, f"{request_id} {receipt.receipt_no} {receipt.total_fen}\n".encode())


def killed_round(url: str, purse_id: str, kill: int) -> bytes:
    """Fork a till, let it sell a little, kill it; what it had acknowledged."""
    reading, writing = os.pipe()
    till = os.fork()
    if till == 0:
        os.close(reading)
        asyncio.run(sell_on(url, purse_id, kill, writing))
        os._exit(0)
    os.close(writing)
    heard = b""
    # The first word says that it sells; then a moment that differs from round to round.
    while heard.count(b"\n") < 1 + kill % 4:
        heard += os.read(reading, 4096)
    select.select([], [], [], (kill * 37 % 101) / 20_000)
    os.kill(till, signal.SIGKILL)
    while piece := os.read(reading, 4096):
        heard += piece
    os.close(reading)
    os.waitpid(till, 0)
    return heard


def main() -> None:
    """See the module."""
    url, acknowledged, purse_id, kills = sys.argv[1:]
    with Path(acknowledged).open("wb") as book:
        for kill in range(int(kills)):
            book.write(killed_round(url, purse_id, kill))


if __name__ == "__main__":
    main()
