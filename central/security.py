"""Who acts, and the secrets by which we know it."""

from dataclasses import dataclass

from central.permissions import Access, Role, allows


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, as the audit row will name them. `role` is None for the system itself.

    `origin` says from where: "till 10.0.0.7", "command line", "gateway b1-gw" …
    """

    operator_id: str
    name: str
    role: Role | None
    origin: str

    def may(self, access: Access) -> bool:
        """Whether this operator may pass; the system itself passes no door of the pages."""
        return allows(self.role, access)


SYSTEM = Actor(operator_id="system", name="system", role=None, origin="system")
