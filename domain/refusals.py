"""Every way the business says no, in order of precedence, with words in both languages.

A refusal is a value: nothing broke, and the caller shows it. When several apply, the one that
stands first in this list is given. The order: what was typed, whether the request is new, whether
the books may be written at all, the account, the event, the amount, and last what a gateway
answers to an intent. So a person first mends what is in the form, and never hears about a balance
of an account that is closed. Words carry no figures: the page that shows them adds the figures.
"""

from collections.abc import Iterable
from enum import Enum

_STAYS, _PASSES = False, True  # may the same request succeed later without being changed?


class Refusal(Enum):
    """`(retry_helps, zh, en)` in order of precedence.

    `retry_helps` is True where the same request may succeed later without being changed.
    """

    retry_helps: bool
    zh: str
    en: str

    def __new__(cls, retry_helps: bool, zh: str, en: str) -> "Refusal":
        member = object.__new__(cls)
        member._value_ = len(cls.__members__)
        member.retry_helps, member.zh, member.en = retry_helps, zh, en
        return member

    # fmt: off
    # what was typed
    amount_not_a_number = (_STAYS, "金额不是数字，请输入例如 50 或 50.00",
                           "The amount is not a number; type for example 50 or 50.00")
    amount_finer_than_a_fen = (_STAYS, "金额最多两位小数（分）",
                               "The amount has more than two decimals (fen)")
    amount_not_positive = (_STAYS, "金额必须大于 0", "The amount must be more than 0")
    amount_too_large = (_STAYS, "金额过大，请核对", "The amount is too large; please check it")
    method_missing = (_STAYS, "请选择收款方式", "Choose how it is paid")
    holder_missing = (_STAYS, "请填写户主姓名", "The holder's name is missing")
    phone_malformed = (_STAYS, "电话号码只能是 5–20 位数字",
                       "A phone number has 5 to 20 digits")
    evidence_missing = (_STAYS, "转入老表金额须写明依据",
                        "Say where the old meter's balance was seen")
    reason_missing = (_STAYS, "请写明原因", "Give the reason")
    name_missing = (_STAYS, "名称不能为空", "The name is missing")
    id_malformed = (_STAYS, "编号只能用小写字母、数字和连字符，最多 40 个字符",
                    "An id has at most 40 characters: small letters, digits and hyphens")
    meter_number_malformed = (_STAYS, "表号只能用字母、数字和连字符，最多 40 个字符",
                              "A meter number has at most 40 letters, digits and hyphens")
    setting_out_of_range = (_STAYS, "设置超出允许范围", "A setting is out of range")
    tariff_faulty = (_STAYS, "电价表有误", "The price table is faulty")
    alarms_out_of_order = (_STAYS, "报警金额1 应大于报警金额2，且都大于 0",
                           "Alarm amount 1 must be more than alarm amount 2, and both more than 0")

    login_malformed = (_STAYS, "登录名只能用小写字母、数字和 . - _，2 至 40 个字符",
                       "A login name has 2 to 40 characters: small letters, digits and . - _")
    role_unknown = (_STAYS, "没有这个角色", "There is no such role")
    password_too_short = (_STAYS, "密码至少 8 个字符", "A password has at least 8 characters")
    password_too_long = (_STAYS, "密码最多 128 个字符", "A password has at most 128 characters")
    password_is_login = (_STAYS, "密码不能与登录名相同",
                         "A password must not be the login name")

    # who asks
    sign_in_throttled = (_PASSES, "登录失败次数过多，请一小时后再试，或请管理员解锁",
                         "Too many failed sign-ins; try again in an hour, or ask an administrator")
    sign_in_wrong = (_STAYS, "登录名或密码不正确", "The login name or the password is wrong")
    last_administrator = (_STAYS, "至少要保留一名可登录的管理员",
                          "One administrator who can sign in must remain")

    # whether the request is new, and the books can be written
    same_request_other_input = (_STAYS, "此表单已提交过，内容不同；请打开新表单",
                                "This form was already sent with other contents; open a new one")
    books_catching_up = (_PASSES, "账簿恢复后正在与网关核对，请稍后再试",
                         "The books were restored and are catching up with the gateway; try later")

    not_permitted = (_STAYS, "您没有办理此项的权限", "You may not do this")

    # places, devices and prices
    not_found = (_STAYS, "没有找到该记录", "There is no such record")
    already_exists = (_STAYS, "已有同号或同名的记录", "One of that number or name exists already")
    other_site = (_STAYS, "一台管理机不能跨园区", "A gateway cannot serve two sites")
    starts_in_the_past = (_STAYS, "新电价只能从将来开始", "New prices can only start in the future")
    starts_too_early = (_STAYS, "新电价的开始时间必须晚于现有版本",
                        "New prices must start later than those already set")

    # the account
    room_already_open = (_STAYS, "该户号已开户", "The room has an open account already")
    room_without_meter = (_STAYS, "该户号没有电表，不能开户", "The room has no meter to open")
    purse_spans_gateways = (_STAYS, "一个钱包的电表必须在同一台管理机上",
                            "All meters of a purse must hang on one gateway")
    account_closed = (_STAYS, "该户已销户", "The account is closed")
    purse_closing = (_STAYS, "该户正在销户，不再办理收退款",
                     "The account is being closed; no money moves until it is settled")

    # the event that is to be undone
    no_money_event = (_STAYS, "该户尚无收退款记录", "The account has no money event yet")
    already_reversed = (_STAYS, "该笔已冲正，不能再次冲正",
                        "This event has been reversed; it cannot be reversed again")
    not_reversible = (_STAYS, "只有售电和退电可以冲正", "Only a sale or a refund can be reversed")
    not_the_latest_event = (_STAYS, "只能冲正该户最近一笔收退款",
                            "Only the latest money event of an account can be reversed")
    opening_not_first = (_STAYS, "老表金额只能作为开户后第一笔转入",
                         "An old meter's balance can only be the account's first money event")
    reservation_open = (_PASSES, "有一笔退款或冲正正在等待网关答复",
                        "A refund or reversal is still waiting for the gateway's answer")

    reservation_settled = (_STAYS, "该申请已有结果，不能取消",
                           "This request has been settled; it cannot be cancelled")

    # the amount against the balance
    exceeds_balance = (_STAYS, "金额超过可用余额", "The amount is more than the available balance")
    exceeds_paid_by_method = (_STAYS, "只能原路退回，且不超过该方式的实收金额",
                              "Money goes back the way it came, and no more than came that way")
    needs_supervisor = (_STAYS, "冲正后余额将低于 0，需主管办理",
                        "The balance would fall below zero; a supervisor must do this")
    above_hoarding_cap = (_STAYS, "售后余额将超过囤积金额上限，整笔不受理",
                          "The balance would exceed the hoarding cap; the whole sale is refused")
    already_used = (_STAYS, "网关答复：金额已被用掉，余额不足",
                    "The gateway answered: the money is already used, too little is left")

    # what a gateway answers to an intent or a code
    not_supported = (_STAYS, "网关软件不支持此项", "The gateway's software does not support this")
    expired = (_STAYS, "指令已过期，未执行", "The order has expired and was not carried out")
    clock_unknown = (_PASSES, "网关时间未知，有时限的指令不执行",
                     "The gateway does not know the time; an order with an expiry is not done")
    other_gateway = (_STAYS, "不是本网关的安装文件",
                     "This installation is another gateway's")
    tariff_in_the_past = (_STAYS, "电价只能从以后开始变更，已生效的不能改",
                          "A price can only change from now on; what was in force stays")
    old_version = (_STAYS, "网关已有相同或更新的版本",
                   "The gateway holds this version or a newer one")
    count_behind = (_STAYS, "购电次数落后于网关",
                    "The purchase count is behind the one the gateway holds")
    other_total_at_count = (_STAYS, "同一购电次数对应的累计金额不同，已冻结",
                            "The same purchase count with another total: frozen until looked at")
    lowers_credit = (_STAYS, "未经网关同意不得减少可用金额",
                     "Credit can only be lowered by a reservation that the gateway accepted")
    code_already_used = (_STAYS, "充值码已使用", "The code has already been used")
    # fmt: on


def first(refusals: Iterable[Refusal]) -> Refusal | None:
    """The refusal that takes precedence, or None where there is none."""
    return min(refusals, key=lambda refusal: int(refusal.value), default=None)
