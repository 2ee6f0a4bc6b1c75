"""A form is answered once: the same request id with the same inputs gets the first answer again."""

from collections.abc import Mapping

from sqlalchemy import Connection

from central import books
from domain.refusals import Refusal


def earlier(
    connection: Connection, request_id: str, inputs: Mapping[str, object]
) -> Mapping[str, object] | Refusal | None:
    """The first answer, None where the request is new, or the refusal of other inputs.

    A request that is being answered right now is waited for.
    """
    try:
        return books.answered(connection, request_id, inputs)
    except books.RequestReusedError:
        return Refusal.same_request_other_input
