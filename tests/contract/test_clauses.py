"""Every clause of the contract has a test, and no test cites a clause that does not stand there."""

from pathlib import Path

from tests.contract.clauses import cited, stated
from tests.contract.regenerate import CONTRACT

TESTS = Path(__file__).resolve().parents[1]


def test_every_clause_has_a_test_and_every_citation_a_clause() -> None:
    clauses, citations = stated((CONTRACT / "README.md").read_text("utf-8")), cited(TESTS)
    unproved = [clause for clause in clauses if clause not in citations]
    unknown = {clause: at for clause, at in citations.items() if clause not in clauses}
    assert not unproved, f"clauses without a test (mark one with pytest.mark.clause): {unproved}"
    assert not unknown, f"tests cite clauses that mqtt-schemas/README.md does not state: {unknown}"


def test_clauses_are_numbered_upwards_and_once() -> None:
    clauses = stated((CONTRACT / "README.md").read_text("utf-8"))
    assert len(clauses) > 40
    areas: dict[str, list[int]] = {}
    for clause in clauses:
        area, number = clause.rsplit("-", 1)
        areas.setdefault(area, []).append(int(number))
    for area, numbers in areas.items():
        assert numbers == list(range(1, len(numbers) + 1)), area


def test_the_check_sees_what_is_missing_on_either_side(tmp_path: Path) -> None:
    page = "# Page\n* **[a-1]** One rule.\n* **[a-2]** Another.\n* a-3 is no clause\n"
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/test_x.py").write_text(
        'import pytest\n\npytestmark = pytest.mark.clause("a-1")\n\n\n'
        '@pytest.mark.clause("b-9", NAME)\ndef test_y() -> None: ...\n'
    )
    assert stated(page) == ["a-1", "a-2"]
    places = cited(tmp_path)
    assert places == {
        "a-1": ["deep/test_x.py:3"],
        "b-9": ["deep/test_x.py:6"],
        "NAME": ["deep/test_x.py:6"],
    }
