"""What an alarm is called, in both languages. An alarm of a later gateway keeps its own code."""

from collections.abc import Mapping

from central.words import Language, say

_CODES: Mapping[str, tuple[str, str]] = {
    "alarm_1": ("报警1", "Alarm 1"),
    "alarm_2": ("报警2", "Alarm 2"),
    "arrears": ("欠费", "Arrears"),
    "lost_meter": ("电表失联", "Meter lost"),
    "lost_bus": ("整条总线失联", "Whole bus lost"),
    "lost_port": ("串口不可用", "Serial port gone"),
    "relay_mismatch": ("继电器未到位", "Relay not where it should be"),
    "trips_exhausted": (
        "自动分闸次数用尽；欠费超限仍会断电",
        "Automatic trips used up; cut again only past the debt limit",
    ),
    "own_prepaid_on": ("表内费控为开", "Meter's own prepaid control is on"),
    "installation_fault": ("安装文件有误", "Faulty installation"),
    "credit_refused": ("网关拒收充值", "Gateway refused a credit"),
    "journal_rolled_back": ("网关日志倒退", "Gateway's journal went back"),
    "charges_not_booking": ("计费未入账", "Charges do not go into the books"),
    "suspect_other_meter": ("不是登记的电表", "Not the installed meter"),
    "suspect_out_of_range": ("读数超出范围", "Reading out of range"),
    "suspect_backwards": ("读数倒退", "Reading went backwards"),
    "suspect_too_fast": ("用电过快，读数可疑", "More energy than possible"),
}


def alarm_name(code: str, language: Language) -> str:
    """The alarm in words, or its code where it is not known here."""
    zh, en = _CODES.get(code, (code, code))
    return say(language, zh=zh, en=en)


def alarm_detail(detail: str, language: Language) -> str:
    """The half of a gateway's `中文 / English` text that is this language's."""
    zh, slash, en = detail.partition(" / ")
    return say(language, zh=zh, en=en) if slash else detail
