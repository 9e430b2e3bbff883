"""Whoever changes the books by hand is found out, and the row is named."""
# ruff: noqa: S608 - writing SQL by hand is what these tests do

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlmodel import Session
from typer.testing import CliRunner

from backend.checks import check
from backend.cli import app
from backend.db.engine import make_engine
from backend.db.migrate import migrate
from backend.db.tables.rules import growing_only_ends_ddl
from backend.problems import StartError
from backend.services.verify import verify
from tests.databases import KINDS, Databases
from tests.integration.books.conftest import Books
from tests.integration.rentals.conftest import at_work

ONLY_GROWS = ("transfer", "posting", "custody_move", "credit_note")


@pytest.fixture(scope="module", params=KINDS)
def whole(
    request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Books]:
    """A rental from its deposit to the withdrawal of its takings; another withdrawal failed.

    Who changes it takes that back: it is made once.
    """
    folder = tmp_path_factory.mktemp("whole")
    with databases.with_tables(request.param, folder) as url, at_work(folder, url) as world:
        books = Books(world=world, merchant=world.market())
        books.settled()
        books.with_account()
        for amount, end in ((300, "paid"), (200, "failed")):
            withdrawal = books.asked(amount)
            books.send()
            books.told(withdrawal, end)
        assert books.breaks() == []
        yield books


@contextmanager
def tampered(books: Books, *statements: str) -> Iterator[Session]:
    """See the database as it would be after these; the triggers are taken off first."""
    with books.world.database.engine.connect() as connection, connection.begin() as transaction:
        for table in ONLY_GROWS:
            for statement in growing_only_ends_ddl(table, connection.dialect.name):
                connection.execute(text(statement))
        for statement in statements:
            assert connection.execute(text(statement)).rowcount, statement
        with Session(connection) as session:
            yield session
        transaction.rollback()


def found(books: Books, *statements: str) -> set[tuple[str, str]]:
    """What is found after these, each as its check and its row."""
    with tampered(books, *statements) as session:
        return {(each.check.value, each.row) for each in verify(session).breaks}


def says(books: Books, *statements: str) -> str:
    with tampered(books, *statements) as session:
        return "\n".join(each.says for each in verify(session).breaks)


def id_of(books: Books, key: str) -> str:
    """The id of the transfer whose key ends so; there is one."""
    with books.world.database.reading() as session:
        rows = session.execute(text("SELECT id FROM transfer WHERE key LIKE :key"), {"key": key})
        return str(rows.scalar_one())


def one(books: Books, table: str, where: str = "1 = 1") -> str:
    with books.world.database.reading() as session:
        rows = session.execute(text(f"SELECT id FROM {table} WHERE {where}"))
        return str(rows.scalar_one())


# -- sound -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["ask", "delivered", "starting", "renting", "payment_due"])
def test_books_that_nobody_touched_balance_at_every_step(books: Books, stage: str) -> None:
    getattr(books.world, stage)()

    assert books.breaks() == []


@pytest.mark.parametrize("stage", ["paid", "settled"])
def test_books_that_nobody_touched_balance_to_the_end(books: Books, stage: str) -> None:
    getattr(books, stage)()

    assert books.breaks() == []


# -- the books by themselves -----------------------------------------------------------------


def test_a_changed_amount_names_its_transfer_and_its_account(whole: Books) -> None:
    billed = id_of(whole, "rental:%:billed")
    change = (
        f"UPDATE posting SET amount_minor = amount_minor - 1 WHERE transfer_id = '{billed}' "
        "AND account = 'platform_revenue'"
    )

    breaks = found(whole, change)

    assert {
        ("unbalanced", f"transfer {billed}"),
        ("altered", f"transfer {billed}"),
        ("wrong_balance", "account platform_revenue CNY"),
        ("disagrees", f"rental {one(whole, 'rental')}"),
    } <= breaks
    assert "(rental:" in says(whole, change)
    assert "sums to -1 CNY, not to zero" in says(whole, change)


def test_amounts_that_were_changed_to_sum_to_zero_again_still_show(whole: Books) -> None:
    billed = id_of(whole, "rental:%:billed")
    breaks = found(
        whole,
        f"UPDATE posting SET amount_minor = amount_minor - 10 WHERE transfer_id = '{billed}' "
        "AND account LIKE 'merchant_pending:%'",
        f"UPDATE posting SET amount_minor = amount_minor + 10 WHERE transfer_id = '{billed}' "
        "AND account = 'platform_revenue'",
    )

    assert ("altered", f"transfer {billed}") in breaks
    assert ("unbalanced", f"transfer {billed}") not in breaks


def test_a_deleted_posting_names_its_transfer_and_the_gap_on_its_account(whole: Books) -> None:
    paid = id_of(whole, "payment:%:paid")
    delete = f"DELETE FROM posting WHERE transfer_id = '{paid}' AND account = 'provider_cash'"

    breaks = found(whole, delete)

    assert {
        ("unbalanced", f"transfer {paid}"),
        ("altered", f"transfer {paid}"),
        ("gap", "account provider_cash CNY"),
        ("wrong_balance", "account provider_cash CNY"),
    } <= breaks


def test_a_transfer_whose_postings_are_all_gone_is_named(whole: Books) -> None:
    paid = id_of(whole, "payment:%:paid")

    assert ("unbalanced", f"transfer {paid}") in found(
        whole, f"DELETE FROM posting WHERE transfer_id = '{paid}'"
    )


def test_a_deleted_transfer_is_missed_by_what_it_was_for(whole: Books) -> None:
    paid = id_of(whole, "payment:%:paid")
    payment = one(whole, "payment", "purpose = 'bill'")
    delete = (
        f"DELETE FROM posting WHERE transfer_id = '{paid}'",
        f"DELETE FROM transfer WHERE id = '{paid}'",
    )

    assert ("missing", f"payment {payment}") in found(whole, *delete)
    assert f"payment:{payment}:paid is not in the books" in says(whole, *delete)


@pytest.mark.parametrize(
    "change",
    [
        "key = 'rental:nobody:billed'",
        "kind = 'rental_paid'",
        "currency = 'HKD'",
        "at = (SELECT MIN(at) FROM transfer)",
        "rental_id = NULL",
        "digest = 'f'",
    ],
)
def test_a_changed_transfer_is_named(whole: Books, change: str) -> None:
    billed = id_of(whole, "rental:%:billed")

    breaks = found(whole, f"UPDATE transfer SET {change} WHERE id = '{billed}'")

    assert ("altered", f"transfer {billed}") in breaks


def test_a_changed_balance_is_named(whole: Books) -> None:
    assert found(
        whole, "UPDATE account SET balance_minor = balance_minor + 1 WHERE code = 'provider_cash'"
    ) == {("wrong_balance", "account provider_cash CNY")}


def test_a_posting_too_many_is_named(whole: Books) -> None:
    billed = id_of(whole, "rental:%:billed")
    insert = (
        "INSERT INTO posting (transfer_id, line, account, currency, amount_minor, number, "
        f"balance_minor) VALUES ('{billed}', 9, 'provider_cash', 'CNY', 5, 99, 5)"
    )

    breaks = found(whole, insert)

    assert {
        ("unbalanced", f"transfer {billed}"),
        ("altered", f"transfer {billed}"),
        ("gap", "account provider_cash CNY"),
        ("wrong_balance", "account provider_cash CNY"),
    } <= breaks


def test_an_account_on_its_wrong_side_is_named(whole: Books) -> None:
    account = f"merchant_available:{whole.merchant}"
    settled = id_of(whole, "rental:%:settled")
    breaks = found(
        whole,
        f"DELETE FROM posting WHERE transfer_id = '{settled}' AND account = '{account}'",
    )

    assert ("wrong_side", f"account {account} CNY") in breaks


# -- the books and the rest ------------------------------------------------------------------


def test_a_transfer_that_nothing_called_for_is_named(whole: Books) -> None:
    settled = id_of(whole, "rental:%:settled")

    breaks = found(
        whole, f"UPDATE transfer SET key = 'rental:nobody:settled' WHERE id = '{settled}'"
    )

    assert ("unexplained", f"transfer {settled}") in breaks


@pytest.mark.parametrize(
    ("table", "where", "change"),
    [
        ("payment", "purpose = 'bill'", "amount_minor = amount_minor + 1"),
        ("payment", "purpose = 'bill'", "state = 'open'"),
        ("withdrawal", "state = 'paid'", "amount_minor = amount_minor - 1"),
        ("withdrawal", "state = 'paid'", "state = 'failed'"),
        ("withdrawal", "state = 'failed'", "state = 'paid'"),
        (
            "rental",
            "1 = 1",
            "amount_minor = amount_minor + 1, merchant_minor = merchant_minor + 1",
        ),
        ("rental", "1 = 1", "paid_minor = 0"),
    ],
)
def test_a_row_that_the_books_do_not_bear_out_is_named(
    whole: Books, table: str, where: str, change: str
) -> None:
    id_ = one(whole, table, where)

    assert ("disagrees", f"{table} {id_}") in found(
        whole,
        f"UPDATE {table} SET {change} WHERE id = '{id_}'",
    )


def test_a_hold_that_the_books_do_not_bear_out_is_named(whole: Books) -> None:
    hold = one(whole, "payment", "purpose = 'deposit'")
    change = f"UPDATE deposit SET state = 'declined' WHERE payment_id = '{hold}'"

    assert ("disagrees", f"deposit {hold}") in found(whole, change)


# -- hands -----------------------------------------------------------------------------------


def test_a_bank_that_is_not_where_its_rental_says_is_named(books: Books) -> None:
    books.world.renting()

    breaks = found(
        books, "UPDATE bank SET holder = 'merchant', holder_id = NULL WHERE id = 'LW-0001'"
    )

    assert breaks == {("custody", "bank LW-0001")}


def test_a_bank_that_two_rentals_need_is_named(books: Books) -> None:
    books.world.renting()
    columns = [each["name"] for each in inspect(books.world.database.engine).get_columns("rental")]
    values = ", ".join("'copy'" if name == "id" else name for name in columns)
    breaks = found(
        books,
        "DROP INDEX uq_rental_one_per_bank",
        f"INSERT INTO rental ({', '.join(columns)}) SELECT {values} FROM rental",
    )

    assert ("crowded", "bank LW-0001") in breaks


# -- lendwatt verify -------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, empty_database_url: str) -> Iterator[Books]:
    """Books in a database as ``lendwatt up`` makes it."""
    engine = make_engine(empty_database_url)
    migrate(engine)
    engine.dispose()
    with at_work(tmp_path, empty_database_url) as world:
        yield Books(world=world, merchant=world.market())


def run(books: Books, *options: str) -> tuple[int, str]:
    url = books.world.database.engine.url.render_as_string(hide_password=False)
    done = CliRunner().invoke(app, ["verify", "--database", url, *options])
    return done.exit_code, done.stdout


def test_verify_says_that_the_books_balance_to_a_person_and_to_a_program(installed: Books) -> None:
    installed.paid()

    code, told = run(installed)
    assert (code, told.split(":")[0]) == (0, "The books balance")

    code, told = run(installed, "--json")
    said = json.loads(told)
    assert (code, said["balanced"], said["breaks"]) == (0, True, [])


def test_verify_names_the_row_and_fails(installed: Books) -> None:
    installed.paid()
    with installed.world.database.writing() as session:
        session.execute(text("UPDATE account SET balance_minor = 1 WHERE code = 'provider_cash'"))

    code, told = run(installed)

    assert code == 1
    assert "wrong_balance: account provider_cash CNY: says 1 after" in told
    assert "do not balance: 1 breaks" in told


def test_verify_looks_at_no_database_of_another_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    make_engine(url).dispose()

    with pytest.raises(StartError, match="not at this version"):
        check(url, None)


def test_verify_makes_no_database_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="There is no database"):
        check(f"sqlite:///{tmp_path}/none.db", None)
