"""Every answer in words, with the same headers; a fault of ours shows a number, never a trace."""

import structlog
from aiohttp import web

from central import doors
from central.books import RequestReusedError
from central.connections import guard_of
from central.database import StorageFault
from central.web import VISITOR, Handler, notice, refused
from domain.refusals import Refusal

_log = structlog.get_logger("web")

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}

_SAID = {
    400: ("请求无法读取", "The request cannot be read"),
    401: ("请先登录", "Please sign in first"),
    403: ("您没有此权限", "You are not allowed to do this"),
    404: ("没有这个页面", "There is no such page"),
    405: ("这个地址不接受此操作", "This address does not take that kind of request"),
    413: ("提交的内容过大", "What was sent is too large"),
    503: ("账簿暂时不能写入，本次操作未入账，请稍后再试",
          "The books cannot be written now; nothing was booked, please try again later"),
}  # fmt: skip
_FORGED = (
    "此表单已失效，未入账；请刷新页面后重试",
    "This form is no longer valid, nothing was booked; reload the page and try again",
)
_EXPIRED = (
    "登录已过期，本次操作未入账；请重新登录后再提交",
    "You are no longer signed in and nothing was booked; sign in and send it again",
)
_OURS = (
    "系统出错，本次操作未完成。请把编号告诉管理员：{id}",
    "Something went wrong and this was not done. Tell the administrator this number: {id}",
)


@web.middleware
async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception into an answer; tell the connection's guard when a request is on."""
    guard = guard_of(request)
    if guard is not None:
        guard.request_begins(request)
    try:
        return await _answer(request, handler)
    finally:
        if guard is not None:
            guard.request_ends()


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_error(request, error)
    except RequestReusedError:
        return refused(request, Refusal.same_request_other_input, status=409)
    except StorageFault as error:
        _log.error("storage", path=request.path, error=str(error))
        return _notice(request, 503, *_SAID[503])
    except Exception:  # noqa: BLE001 - logged with its number, answered in words
        request_id = _visitor_id(request)
        _log.exception("a request failed", path=request.path, request_id=request_id)
        zh, en = _OURS
        return _notice(request, 500, zh.format(id=request_id), en.format(id=request_id))


async def with_headers(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Put the same protective headers on every answer, streams included."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    hashed = request.path.startswith("/static/") and response.status in (200, 206, 304)
    caching = "public, max-age=31536000, immutable" if hashed else "no-store"
    response.headers.setdefault("Cache-Control", caching)
    response.headers.pop("Server", None)


def _http_error(request: web.Request, error: web.HTTPException) -> web.Response:
    zh, en = _SAID.get(error.status, (error.reason, error.reason))
    if isinstance(error, doors.Forged):
        zh, en = _FORGED
    sign_in_next = None
    if isinstance(error, doors.Expired):
        zh, en = _EXPIRED
        sign_in_next = doors.came_from(request)
    response = _notice(request, error.status, zh, en, sign_in_next=sign_in_next)
    for name in ("Allow", "HX-Redirect", "Retry-After"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


def _notice(
    request: web.Request, status: int, zh: str, en: str, *, sign_in_next: str | None = None
) -> web.Response:
    _visitor_id(request)
    return notice(request, status=status, name=f"http_{status}", zh=zh, en=en,
                  retry_helps=status == 503, sign_in_next=sign_in_next)  # fmt: skip


def _visitor_id(request: web.Request) -> str:
    if VISITOR not in request:
        request[VISITOR] = doors.stranger(request)
    return request[VISITOR].request_id
