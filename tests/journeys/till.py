"""A cashier's browser, as far as a journey needs one: it signs in, fills in forms, follows them."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass(slots=True)
class Form:
    """A form as it was drawn: where it goes and what stands in its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(values.get("action", "")))
        elif tag == "input" and self.found and values.get("name"):
            kind = values.get("type", "text")
            if kind not in ("radio", "checkbox") or "checked" in values:
                self.found[-1].fields[values["name"]] = values.get("value", "")


@dataclass(slots=True)
class Page:
    """An answer: where we ended, its status and its text."""

    url: str
    status: int
    text: str

    def form(self, *needs: str) -> Form:
        """The form that has these fields."""
        parser = _Forms()
        parser.feed(self.text)
        return next(form for form in parser.found if set(needs) <= form.fields.keys())


class Browser:
    """Keeps cookies and sends forms as they were drawn."""

    def __init__(self, url: str) -> None:
        self._url = url
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(jar)

    def get(self, path: str) -> Page:
        return self._send(urllib.request.Request(urllib.parse.urljoin(self._url, path)))

    def send(self, path: str, fields: dict[str, str]) -> Page:
        data = urllib.parse.urlencode(fields).encode()
        headers = {"Origin": self._url, "Sec-Fetch-Site": "same-origin"}
        address = urllib.parse.urljoin(self._url, path)
        return self._send(urllib.request.Request(address, data, headers))

    def _send(self, request: urllib.request.Request) -> Page:
        try:
            with self._opener.open(request, timeout=15) as answer:
                return Page(answer.url, answer.status, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.url, error.code, error.read().decode())

    def sign_in(self, login: str, password: str) -> None:
        form = self.get("/sign-in").form("login", "password")
        page = self.send(form.action, form.fields | {"login": login, "password": password})
        assert page.status in (200, 404), page.text
        assert "/sign-in" not in page.url, "the sign-in was refused"

    def sell(self, room_id: str, yuan: str, method: str = "cash") -> Page:
        """Sell to a room through the till's own form; the page after it."""
        form = self.get(f"/sell?room={room_id}").form("request_id", "amount")
        return self.send(form.action, form.fields | {"amount": yuan, "method": method})
