"""The page that says what is built says the truth."""

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS
from tests.clients.proofs import PAGE, PROVED_BY, TABLE, operations_table, with_table


def test_the_table_of_operations_is_what_the_tests_prove() -> None:
    page = PAGE.read_text()
    assert len(TABLE.findall(page)) == 1
    assert page == with_table(page), "python -m tests.clients.proofs"


def test_every_operation_is_built_and_proved_by_a_client() -> None:
    assert set().union(*PROVED_BY.values()) == set(OPERATIONS) == set(load_contract())


def test_the_table_has_the_57_operations() -> None:
    assert operations_table().count("\n| ") == len(load_contract()) == 57
