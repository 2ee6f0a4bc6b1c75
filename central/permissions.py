"""Who may do what: one constant table of roles and permissions, and nothing else.

Every route of the pages names the permission it needs (or that it is public); a route that names
none keeps the server from starting.
"""

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """The five roles of operators."""

    cashier = "cashier"  # 售电员
    supervisor = "supervisor"  # 值班长
    technician = "technician"  # 技术员
    auditor = "auditor"  # 审计员
    administrator = "administrator"  # 管理员


class Permission(StrEnum):
    """What an operator can be allowed to do."""

    wall_see = "wall_see"
    room_see = "room_see"
    account_open = "account_open"
    account_edit = "account_edit"
    account_close = "account_close"
    opening_balance = "opening_balance"
    sale_make = "sale_make"
    refund_make = "refund_make"
    reversal_make = "reversal_make"
    reversal_below_zero = "reversal_below_zero"
    receipt_see = "receipt_see"
    supply_hold = "supply_hold"
    alarm_see = "alarm_see"
    alarm_acknowledge = "alarm_acknowledge"
    gateway_see = "gateway_see"
    installation_edit = "installation_edit"
    tariff_see = "tariff_see"
    tariff_edit = "tariff_edit"
    report_see = "report_see"
    audit_see = "audit_see"
    operator_see = "operator_see"
    operator_edit = "operator_edit"
    settings_edit = "settings_edit"


class Door(Enum):
    """Routes that need no permission of their own."""

    public = "public"  # anybody, signed in or not
    signed_in = "signed_in"  # any operator who is signed in


Access = Permission | Door

# One row a permission, one column a role; x: may, dot: may not.
_TABLE = """
permission            cashier supervisor technician auditor administrator
wall_see                 x        x          x         x          x
room_see                 x        x          x         x          x
account_open             x        x          .         .          .
account_edit             x        x          .         .          .
account_close            .        x          .         .          .
opening_balance          .        x          .         .          .
sale_make                x        x          .         .          .
refund_make              x        x          .         .          .
reversal_make            .        x          .         .          .
reversal_below_zero      .        x          .         .          .
receipt_see              x        x          .         x          x
supply_hold              .        x          x         .          .
alarm_see                x        x          x         x          x
alarm_acknowledge        .        x          x         .          x
gateway_see              x        x          x         x          x
installation_edit        .        .          x         .          x
tariff_see               x        x          x         x          x
tariff_edit              .        .          .         .          x
report_see               x        x          .         x          x
audit_see                .        .          .         x          x
operator_see             .        x          .         x          x
operator_edit            .        .          .         .          x
settings_edit            .        .          .         .          x
"""


def _read(table: str) -> Mapping[Role, frozenset[Permission]]:
    head, *rows = (line.split() for line in table.strip().splitlines())
    roles = [Role(name) for name in head[1:]]
    allowed: dict[Role, set[Permission]] = {role: set() for role in roles}
    for name, *marks in rows:
        for role, mark in zip(roles, marks, strict=True):
            if mark == "x":
                allowed[role].add(Permission(name))
    assert {row[0] for row in rows} == set(Permission)
    assert set(roles) == set(Role)
    return MappingProxyType({role: frozenset(allowed[role]) for role in roles})


ALLOWED = _read(_TABLE)


def allows(role: Role | None, access: Access) -> bool:
    """Whether somebody of this role (None: not signed in) may pass."""
    if access is Door.public:
        return True
    if role is None:
        return False
    return access is Door.signed_in or access in ALLOWED[role]
