"""A till as tests use it: a cashier's browser over a small campus, and what is in the books."""

import re
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientResponse
from sqlalchemy import Connection, func, select

from central.sales import tables
from central.web import Services
from tests.central import campus
from tests.central.conftest import Browser
from tests.central.sound import check_books


@dataclass
class Till:
    """A browser at an office of one building whose first room is held with 50.00."""

    browser: Browser
    services: Services
    campus: campus.Campus

    async def read(self, path: str, *, status: int = 200) -> str:
        """A page's text."""
        async with self.browser.get(path) as answer:
            text = await answer.text()
            assert answer.status == status, text
            return text

    async def form(self, path: str, action: str) -> dict[str, str]:
        """The fields of the form that goes to `action`, as they were drawn on a page."""
        text = await self.read(path)
        form = re.search(
            rf'<form[^>]*method="post" action="{re.escape(action)}".*?</form>', text, re.DOTALL
        )
        assert form is not None, text
        found = {}
        for tag in re.findall(r"<input[^>]*>", form[0]):
            values = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
            if values.get("type") not in ("radio", "checkbox") or " checked" in tag:
                found[values["name"]] = values.get("value", "")
        assert found.pop("form_token") == self.browser.form_token
        return found

    async def sale_form(self, n: int = 0) -> dict[str, str]:
        """The till's form for a room."""
        return await self.form(f"/sell?room={self.campus.room_ids[n]}", "/sell")

    async def send(
        self, path: str, fields: dict[str, str], language: str = "zh"
    ) -> tuple[int, str]:
        """Send a form; status and text of the answer (a redirect's text: where it leads)."""
        answer: ClientResponse = await self.browser.send(f"{path}?lang={language}", **fields)
        return answer.status, answer.headers.get("Location") or await answer.text()

    async def events(self) -> int:
        """How many money events there are; the books must be sound."""

        def counted(connection: Connection) -> int:
            check_books(connection)
            return connection.scalar(select(func.count()).select_from(tables.money_events)) or 0

        return await self.services.database.read(counted)

    async def rows(self, wanted: Any) -> list[Any]:
        """Rows of the books."""
        return await self.services.database.read(
            lambda connection: list(connection.execute(wanted).all())
        )
