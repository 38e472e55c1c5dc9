"""The page that says what is built says the truth."""

from pathlib import Path

from botocore.session import Session

from partnerbus.api.v1.operations import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_the_operations_are_those_of_the_model_and_built_where_it_says_so() -> None:
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines()]
    claimed = {row[0]: row[1] == "yes" for row in rows if len(row) == 2 and row[1] in ("yes", "not yet")}
    model = Session().get_service_model("events").operation_names
    assert claimed == {name: name in OPERATIONS for name in model}
    assert len(claimed) == 57
