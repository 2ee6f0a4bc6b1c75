"""The table of roles, and the real router held against it for every role and for nobody."""

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central.app import FEATURES
from central.permissions import ALLOWED, Access, Door, Permission, Role, allows
from central.web import DOORS, Services, UndeclaredRouteError, make_app, page, route
from tests.central.conftest import OpenPages

ANYBODY = [*Role, None]
P = Permission


@pytest.mark.parametrize("permission", Permission)
def test_every_permission_is_somebodys(permission: Permission) -> None:
    assert any(permission in allowed for allowed in ALLOWED.values())


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        (Role.cashier, {P.sale_make, P.account_open}, {P.reversal_make, P.supply_hold}),
        (Role.supervisor, {P.reversal_below_zero, P.sale_make}, {P.operator_edit, P.tariff_edit}),
        (Role.technician, {P.installation_edit, P.supply_hold}, {P.sale_make, P.refund_make}),
        (Role.auditor, {P.audit_see, P.report_see}, {P.sale_make, P.operator_edit, P.tariff_edit}),
        (Role.administrator, {P.operator_edit, P.tariff_edit}, {P.sale_make, P.refund_make}),
    ],
)  # fmt: skip
def test_what_a_role_may(role: Role, may: set[Permission], may_not: set[Permission]) -> None:
    assert may <= ALLOWED[role]
    assert not may_not & ALLOWED[role]


def test_an_auditor_only_looks() -> None:
    assert all(permission.endswith("_see") for permission in ALLOWED[Role.auditor])


def test_nobody_passes_only_public_doors() -> None:
    assert allows(None, Door.public)
    assert not allows(None, Door.signed_in)
    assert not any(allows(None, permission) for permission in Permission)
    assert all(allows(role, Door.signed_in) for role in Role)


async def _hello(request: web.Request) -> web.Response:
    return page(request, "notice.html", code=200, said="hello")


def test_a_route_without_permission_keeps_the_app_from_starting(services: Services) -> None:
    def past_the_door(app: web.Application) -> None:
        app.router.add_get("/secret", _hello)

    with pytest.raises(UndeclaredRouteError, match="/secret"):
        make_app(services, [past_the_door])
    with pytest.raises(UndeclaredRouteError, match="/secret"):
        make_app(services, [lambda app: route(app, "GET", "/secret", _hello, None)])  # type: ignore[arg-type]  # the mistake is the point


def _one_of_each(app: web.Application) -> None:
    doors: list[Access] = [*Permission, *Door]
    for door in doors:
        route(app, "GET", f"/see/{door.value}", _hello, door)
        route(app, "POST", f"/do/{door.value}", _hello, door)


@pytest.mark.parametrize("role", ANYBODY, ids=lambda role: role or "nobody")
async def test_every_door_holds_for_every_role(open_pages: OpenPages, role: Role | None) -> None:
    browser = await open_pages(_one_of_each)
    await browser.sign_in_as(role)
    doors: list[Access] = [*Permission, *Door]
    for door in doors:
        may = allows(role, door)
        seen = await browser.get(f"/see/{door.value}", allow_redirects=False)
        done = await browser.send(f"/do/{door.value}")
        expected = (200, 200) if may else (303, 401) if role is None else (403, 403)
        assert (seen.status, done.status) == expected, door


@pytest.mark.parametrize("role", ANYBODY, ids=lambda role: role or "nobody")
async def test_the_real_router_holds_for_every_role(
    open_pages: OpenPages, role: Role | None
) -> None:
    browser = await open_pages(*FEATURES)
    assert isinstance(browser.server, TestServer)
    declared = browser.server.app[DOORS]
    assert len(declared) > 5
    for each, door in declared.items():
        await browser.sign_in_as(role)
        assert each.resource is not None
        if isinstance(each.resource, web.StaticResource):
            continue  # files, not a page; their door is public
        path = re.sub(r"\{[^}]*\}", "x", each.resource.canonical)
        data = {"form_token": browser.form_token} if each.method == "POST" else None
        async with browser.request(each.method, path, data=data, allow_redirects=False) as answer:
            said = f"{each.method} {path} needs {door}, {role} got {answer.status}"
            assert answer.status < 500, said
            passed = answer.status not in (401, 403) and "/sign-in?next=" not in (
                answer.headers.get("Location", "")
            )
            assert passed == allows(role, door), said
