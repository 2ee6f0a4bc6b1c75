"""Closing a purse 销户: the last readings, the last charge, supply off, and nothing charged after.

Two equal reads of every meter make the end. Where a load keeps a register moving, the relay is
opened after a minute (`supplying`), and then they agree.
"""

from dataclasses import replace

from domain.wire.facts import PurseClosed
from edge import metering
from edge.draft import Draft

_EQUAL_READS = 2


def begin(draft: Draft, purse_id: str) -> None:
    """The purse was asked to close: read its meters soon, counting equal reads from now."""
    if purse_id in draft.closing_since:
        return
    draft.closing_since[purse_id] = draft.now.mono_ms
    for point_id in draft.points_of(purse_id):
        draft.change(point_id, equal_reads=0)
        if draft.points[point_id].in_service:
            draft.read_soon(point_id)


def settle(draft: Draft) -> None:
    """Close every closing purse whose meters have all been read twice alike.

    Before the installation is known nobody can say which meters those are.
    """
    if draft.picture.installation is None:
        return
    for purse_id in tuple(draft.closing_since):
        memory = draft.purse(purse_id)
        if memory.purse.state != "closing" or memory.closed_seq:
            del draft.closing_since[purse_id]
        elif all(_is_final(draft, point_id) for point_id in draft.points_of(purse_id)):
            _close(draft, purse_id)


def _is_final(draft: Draft, point_id: str) -> bool:
    point = draft.points[point_id]
    if point.equal_reads >= _EQUAL_READS and draft.is_fresh(point):
        return True
    if point.in_service and point_id in draft.polled:
        draft.read_soon(point_id)
    return False


def _close(draft: Draft, purse_id: str) -> None:
    point_ids = draft.points_of(purse_id)
    metering.close(draft, point_ids, "final")
    memory = draft.purse(purse_id)
    seq = draft.write(
        PurseClosed,
        purse_id=purse_id,
        final_seq=draft.next_seq - 1,
        granted_fen=memory.purse.granted_fen,
        charged_ticks=memory.purse.charged_ticks,
    )
    draft.put_purse(replace(memory, closed_seq=seq))
    del draft.closing_since[purse_id]
    for point_id in point_ids:
        metering.reprice(draft, point_id)
        draft.touched[point_id] = None
