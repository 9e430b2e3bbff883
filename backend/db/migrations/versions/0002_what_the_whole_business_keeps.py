"""what the whole business keeps

What was there before stays, and is made up to what the new rules need: balances, the parts of
a bill, its deadlines, the cells of the map. On the way down a step keeps the old word that is
nearest to its own, and its own in the evidence, so that the way up gives it back; what only new
tables and columns can tell is gone.

Revision ID: 0002
Revises: 0001
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import h3
import sqlalchemy as sa
from alembic import op

from backend.db.tables.rules import append_only_ddl, growing_only_ends_ddl

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

APPEND_ONLY = ('credit_note',)
"""The new tables that are only added to."""

STATES = (
    'requested', 'accepted', 'delivering', 'delivered', 'deposit_due', 'starting', 'renting',
    'returning', 'payment_due', 'completed', 'cancelled', 'start_failed',
)
EVENTS = (
    'accept', 'cancel', 'set_out', 'hand_over', 'scan', 'deposit_held', 'output_confirmed',
    'start_refused', 'request_return', 'collect', 'paid',
)
OLD_WORDS = {
    'reassign': 'decline',
    'cancel_for_fee': 'cancel',
    'claim_returned': 'request_return',
    'deny_return': 'output_confirmed',
    'swap': 'request_return',
    'buy_out': 'collect',
    'lose': 'cancel',
}
"""New events, and what comes nearest to each of them in the old version."""

ON_ITS_SIDE = (
    "balance_minor = 0 OR code = 'platform_revenue' OR (balance_minor > 0) = ("
    "code = 'merchant_debt' OR substr(code, 1, 14) = 'merchant_debt:' OR "
    "code = 'provider_cash' OR substr(code, 1, 14) = 'provider_cash:' OR "
    "code = 'provider_holds' OR substr(code, 1, 15) = 'provider_holds:' OR "
    "code = 'receivable' OR substr(code, 1, 11) = 'receivable:')"
)
DEPOSIT_STATES = ('pending', 'held', 'captured', 'released', 'expired', 'declined', 'unknown')
CELL_RESOLUTION = 8
"""H3 cells with edges of about 0.5 km."""
PAYMENT_WITHIN = timedelta(hours=24)
DISPUTE_WINDOW = timedelta(days=7)

rental = sa.table(
    'rental',
    sa.column('id', sa.String),
    sa.column('state', sa.String),
    sa.column('requested_at', sa.DateTime(timezone=True)),
    sa.column('collected_at', sa.DateTime(timezone=True)),
    sa.column('closed_at', sa.DateTime(timezone=True)),
    sa.column('payment_due_by', sa.DateTime(timezone=True)),
    sa.column('settle_at', sa.DateTime(timezone=True)),
)
transfer = sa.table(
    'transfer',
    sa.column('id', sa.String),
    sa.column('key', sa.String),
    sa.column('kind', sa.String),
    sa.column('currency', sa.String),
    sa.column('rental_id', sa.String),
    sa.column('at', sa.DateTime(timezone=True)),
    sa.column('digest', sa.String),
)
posting = sa.table(
    'posting',
    sa.column('transfer_id', sa.String),
    sa.column('account', sa.String),
    sa.column('amount_minor', sa.BigInteger),
)
rental_step = sa.table(
    'rental_step',
    sa.column('event', sa.String),
    sa.column('state', sa.String),
    sa.column('evidence', sa.String),
)
merchant = sa.table(
    'merchant',
    sa.column('id', sa.String),
    sa.column('lat', sa.Float),
    sa.column('lng', sa.Float),
    sa.column('cell', sa.String),
)


def upgrade() -> None:
    _words_up()
    _tables_up()
    _data_up()
    for table in APPEND_ONLY:
        _only_grows(table)


def downgrade() -> None:
    for table in APPEND_ONLY:
        _may_change(table)
    _tables_down()
    _words_down()


# -- tables that are only added to -----------------------------------------------------


def _only_grows(table: str) -> None:
    for statement in append_only_ddl(table, op.get_bind().dialect.name):
        op.execute(statement)


def _may_change(table: str) -> None:
    for statement in growing_only_ends_ddl(table, op.get_bind().dialect.name):
        op.execute(statement)


@contextmanager
def _changing(table: str) -> Iterator[None]:
    """Let an append-only table be altered. SQLite does that by a copy, which has no triggers."""
    _may_change(table)
    yield
    _only_grows(table)


# -- words -----------------------------------------------------------------------------


def _allow(table: str, words: dict[str, tuple[str, ...] | None]) -> None:
    """Let a table's columns hold these words only, or for now any.

    Args:
        table: the table.
        words: by ``column:name of its check``.
    """
    with op.batch_alter_table(table) as batch_op:
        for check, allowed in words.items():
            column, name = check.split(':')
            if allowed is None:
                batch_op.drop_constraint(name, type_='check')
            else:
                listed = ', '.join(f"'{word}'" for word in allowed)
                batch_op.create_check_constraint(name, sa.text(f'{column} IN ({listed})'))


def _words_up() -> None:
    _allow('rental', {'state:rentalstate': None})
    op.execute(rental.update().where(rental.c.state == 'declined').values(state='undeliverable'))
    _allow('rental', {'state:rentalstate': (*STATES, 'undeliverable')})

    with _changing('rental_step'):
        _allow('rental_step', {'state:rentalstate': None, 'event:rentalevent': None})
        _reword_steps('state', 'declined', 'undeliverable')
        for new, old in OLD_WORDS.items():
            _recall_step(old, new)
        _reword_steps('event', 'decline', 'give_up')
        _allow('rental_step', {
            'state:rentalstate': (*STATES, 'undeliverable'),
            'event:rentalevent': (*EVENTS, 'give_up', *OLD_WORDS),
        })
    _allow('deposit', {'state:depositstate': None})
    _allow('deposit', {'state:depositstate': (*DEPOSIT_STATES, 'secured')})


def _words_down() -> None:
    _allow('deposit', {'state:depositstate': None})
    op.execute("UPDATE deposit SET state = 'captured' WHERE state = 'secured'")
    _allow('deposit', {'state:depositstate': DEPOSIT_STATES})

    with _changing('rental_step'):
        _allow('rental_step', {'state:rentalstate': None, 'event:rentalevent': None})
        _reword_steps('state', 'undeliverable', 'declined')
        _reword_steps('event', 'give_up', 'decline')
        for new, old in OLD_WORDS.items():
            _remember_step(new, old)
        _allow('rental_step', {
            'state:rentalstate': (*STATES, 'declined'),
            'event:rentalevent': (*EVENTS, 'decline'),
        })

    _allow('rental', {'state:rentalstate': None})
    op.execute(rental.update().where(rental.c.state == 'undeliverable').values(state='declined'))
    _allow('rental', {'state:rentalstate': (*STATES, 'declined')})


def _reword_steps(column: str, word: str, becomes: str) -> None:
    said = rental_step.c[column] == word
    op.execute(rental_step.update().where(said).values({column: becomes}))


def _remember_step(new: str, old: str) -> None:
    """Give a step its old word, and keep the new one in front of the evidence."""
    kept = sa.func.substr(sa.literal(f'{new}: ').concat(rental_step.c.evidence), 1, 160)
    told = rental_step.c.event == new
    op.execute(rental_step.update().where(told).values(event=old, evidence=kept))


def _recall_step(old: str, new: str) -> None:
    mark = f'{new}: '
    marked = sa.func.substr(rental_step.c.evidence, 1, len(mark)) == mark
    told = (rental_step.c.event == old) & marked
    kept = sa.func.substr(rental_step.c.evidence, len(mark) + 1)
    op.execute(rental_step.update().where(told).values(event=new, evidence=kept))


# -- data ------------------------------------------------------------------------------


def _data_up() -> None:
    """Make what is there up to what the new rules look at."""
    for column, total in (('balance_minor', 'SUM(amount_minor)'), ('postings', 'COUNT(*)')):
        op.execute(
            f'UPDATE account SET {column} = (SELECT COALESCE({total}, 0) FROM posting '
            'WHERE posting.account = account.code AND posting.currency = account.currency)'
        )
    _number_postings()
    _digest_transfers()
    op.execute(  # everybody begins in the middle, and is worked out soon
        'INSERT INTO merchant_score (merchant_id, deliveries, on_time, score, counted_at, due_at) '
        'SELECT id, 0, 0, 74, created_at, created_at FROM merchant'
    )
    op.execute(  # as the books have it; a bill of nothing is not in them
        'UPDATE rental SET platform_minor = (SELECT COALESCE(-SUM(posting.amount_minor), 0) '
        'FROM posting JOIN transfer ON transfer.id = posting.transfer_id '
        "WHERE transfer.rental_id = rental.id AND transfer.kind = 'rental_billed' "
        "AND posting.account = 'platform_revenue') WHERE amount_minor IS NOT NULL"
    )
    op.execute('UPDATE rental SET merchant_minor = amount_minor - platform_minor')
    op.execute("UPDATE job SET due_at = created_at WHERE state NOT IN ('done', 'cancelled')")
    op.execute(  # whoever was hired is on shift until they say that they are not
        'INSERT INTO shift (id, merchant_id, person_id, started_at) '
        'SELECT id, merchant_id, person_id, joined_at FROM staff WHERE left_at IS NULL'
    )
    op.execute("UPDATE rental SET paid_minor = amount_minor WHERE state = 'completed'")
    op.execute("UPDATE deposit SET billed_minor = captured_minor WHERE state = 'captured'")
    _list_refunds()
    _set_deadlines()
    _set_cells()


def _number_postings() -> None:
    """Give each account's postings their numbers, and the balance after each."""
    with _changing('posting'):
        op.execute(
            'UPDATE posting SET number = counted.number, balance_minor = counted.balance_minor '
            'FROM (SELECT transfer_id, line, ROW_NUMBER() OVER so_far AS number, '
            'SUM(amount_minor) OVER so_far AS balance_minor FROM posting '
            'WINDOW so_far AS (PARTITION BY account, currency ORDER BY transfer_id, line)'
            ') AS counted '
            'WHERE posting.transfer_id = counted.transfer_id AND posting.line = counted.line'
        )
        with op.batch_alter_table('posting') as batch_op:
            batch_op.create_unique_constraint('uq_posting_number', ['account', 'currency', 'number'])


def _digest_transfers() -> None:
    """Say of each transfer what shows later that nobody changed it."""
    connection = op.get_bind()
    postings: dict[str, list[tuple[str, int]]] = {}
    for row in connection.execute(sa.select(posting)):
        postings.setdefault(row.transfer_id, []).append((row.account, row.amount_minor))
    with _changing('transfer'):
        for row in connection.execute(sa.select(transfer)).all():
            digest = _digest(row, postings.get(row.id, []))
            changed = transfer.update().where(transfer.c.id == row.id)
            connection.execute(changed.values(digest=digest))


def _digest(row: sa.Row, postings: list[tuple[str, int]]) -> str:
    at: datetime = row.at if row.at.tzinfo is not None else row.at.replace(tzinfo=UTC)
    parts = [row.key, row.kind, row.currency, row.rental_id or '', at.astimezone(UTC).isoformat()]
    parts += [f'{account} {amount}' for account, amount in sorted(postings)]
    return hashlib.sha256('\n'.join(parts).encode()).hexdigest()


def _list_refunds() -> None:
    """A payment that was too much was sent back under its own id: now that is a refund's."""
    op.execute(
        'INSERT INTO refund (id, payment_id, rental_id, why, provider, amount_minor, currency, '
        'asked_at, refunded_at, returns) SELECT payment.id, payment.id, payment.rental_id, '
        "'surplus', payment.provider, outbox.amount_minor, payment.currency, "
        'outbox.created_at, outbox.done_at, 0 FROM outbox '
        "JOIN payment ON payment.id = outbox.payment_id WHERE outbox.ask = 'refund'"
    )
    op.execute("UPDATE outbox SET refund_id = payment_id WHERE ask = 'refund'")


def _set_deadlines() -> None:
    """What is to be paid or settled falls due as if it had been billed by the new rules."""
    connection = op.get_bind()
    for row in connection.execute(sa.select(rental)).all():
        deadlines = {}
        if row.state == 'payment_due':
            deadlines['payment_due_by'] = (row.collected_at or row.requested_at) + PAYMENT_WITHIN
        elif row.state == 'completed':
            deadlines['settle_at'] = (row.closed_at or row.requested_at) + DISPUTE_WINDOW
        if deadlines:
            connection.execute(rental.update().where(rental.c.id == row.id).values(deadlines))


def _set_cells() -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(merchant)).all():
        cell = h3.latlng_to_cell(row.lat, row.lng, CELL_RESOLUTION)
        connection.execute(merchant.update().where(merchant.c.id == row.id).values(cell=cell))


# -- tables ----------------------------------------------------------------------------


def _tables_up() -> None:
    with op.batch_alter_table('payment', schema=None) as batch_op:
        batch_op.alter_column('pay_url', existing_type=sa.String(length=500), type_=sa.String(length=2000), existing_nullable=True)
        batch_op.add_column(sa.Column('unheard_of_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_column('is_surplus')

    with op.batch_alter_table('account', schema=None) as batch_op:
        batch_op.add_column(sa.Column('balance_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('postings', sa.Integer(), nullable=False, server_default='0'))
        batch_op.create_check_constraint('ck_account_side', sa.text(ON_ITS_SIDE))

    with _changing('audit'), op.batch_alter_table('audit', schema=None) as batch_op:
        batch_op.alter_column('subject_id', existing_type=sa.String(length=40), type_=sa.String(length=128), existing_nullable=False)

    with _changing('transfer'), op.batch_alter_table('transfer', schema=None) as batch_op:
        batch_op.add_column(sa.Column('digest', sa.String(length=64), nullable=False, server_default=''))

    with _changing('posting'), op.batch_alter_table('posting', schema=None) as batch_op:
        batch_op.drop_index('ix_posting_account')
        batch_op.add_column(sa.Column('number', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('balance_minor', sa.BigInteger(), nullable=False, server_default='0'))

    op.create_table('withdrawal',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('merchant_id', sa.String(length=26), nullable=False),
    sa.Column('asked_by', sa.String(length=26), nullable=False),
    sa.Column('state', sa.Enum('requested', 'processing', 'unknown', 'paid', 'failed', name='withdrawalstate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('account', sa.String(length=120), nullable=False),
    sa.Column('provider', sa.String(length=16), nullable=False),
    sa.Column('provider_ref', sa.String(length=128), nullable=True),
    sa.Column('key', sa.String(length=120), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failure', sa.String(length=200), nullable=False),
    sa.Column('problem', sa.Text(), nullable=True),
    sa.CheckConstraint('amount_minor > 0', name='ck_withdrawal_amount'),
    sa.CheckConstraint("(state IN ('failed', 'paid')) = (ended_at IS NOT NULL)", name='ck_withdrawal_ended'),
    sa.ForeignKeyConstraint(['asked_by'], ['person.id'], ),
    sa.ForeignKeyConstraint(['merchant_id'], ['merchant.id'], ),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    with op.batch_alter_table('withdrawal', schema=None) as batch_op:
        batch_op.create_index('ix_withdrawal_due', ['due_at'], unique=False, sqlite_where=sa.text('due_at IS NOT NULL'), postgresql_where=sa.text('due_at IS NOT NULL'))
        batch_op.create_index('ix_withdrawal_merchant', ['merchant_id', 'id'], unique=False)

    op.create_table('reconciliation',
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('begun_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('payments', sa.Integer(), nullable=False),
    sa.Column('breaks', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('day')
    )
    op.create_table('reconciliation_break',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('subject', sa.String(length=24), nullable=False),
    sa.Column('subject_id', sa.String(length=128), nullable=False),
    sa.Column('rental_id', sa.String(length=26), nullable=True),
    sa.Column('ours', sa.String(length=200), nullable=False),
    sa.Column('theirs', sa.String(length=200), nullable=False),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('reconciliation_break', schema=None) as batch_op:
        batch_op.create_index('ix_reconciliation_break_seen', ['last_seen_at'], unique=False)
        batch_op.create_index('uq_reconciliation_break_open', ['kind', 'subject_id'], unique=True, sqlite_where=sa.text('resolved_at IS NULL'), postgresql_where=sa.text('resolved_at IS NULL'))

    with op.batch_alter_table('dead_letter', schema=None) as batch_op:
        batch_op.add_column(sa.Column('wanted_at_ms', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('closed_at_ms', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('outcome', sa.Text(), nullable=True))
        batch_op.create_index('ix_dead_letter_wanted', ['wanted_at_ms'], unique=False, sqlite_where=sa.text('wanted_at_ms IS NOT NULL'), postgresql_where=sa.text('wanted_at_ms IS NOT NULL'))

    op.create_table('webhook',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('merchant_id', sa.String(length=26), nullable=False),
    sa.Column('url', sa.String(length=500), nullable=False),
    sa.Column('secret', sa.String(length=120), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('free_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('pinged_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failing_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_why', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['merchant_id'], ['merchant.id'], ),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('webhook', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_webhook_merchant_id'), ['merchant_id'], unique=False)
        batch_op.create_index('uq_webhook_url', ['merchant_id', 'url'], unique=True, sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL'))

    op.create_table('webhook_message',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('webhook_id', sa.String(length=26), nullable=False),
    sa.Column('kind', sa.String(length=48), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_answer', sa.String(length=120), nullable=False),
    sa.Column('problem', sa.String(length=120), nullable=True),
    sa.CheckConstraint('attempts >= 0', name='ck_webhook_message_attempts'),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhook.id'], ),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('webhook_message', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_webhook_message_created_at'), ['created_at'], unique=False)
        batch_op.create_index('ix_webhook_message_due', ['webhook_id', 'due_at'], unique=False, sqlite_where=sa.text('delivered_at IS NULL AND problem IS NULL'), postgresql_where=sa.text('delivered_at IS NULL AND problem IS NULL'))
        batch_op.create_index('ix_webhook_message_of', ['webhook_id', 'id'], unique=False)

    op.create_table('merchant_score',
    sa.Column('merchant_id', sa.String(length=26), nullable=False),
    sa.Column('deliveries', sa.Integer(), nullable=False),
    sa.Column('on_time', sa.Integer(), nullable=False),
    sa.Column('average_charge_pct', sa.Integer(), nullable=True),
    sa.Column('score', sa.Integer(), nullable=False),
    sa.Column('counted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('on_time BETWEEN 0 AND deliveries', name='ck_merchant_score_on_time'),
    sa.CheckConstraint('average_charge_pct BETWEEN 0 AND 100', name='ck_merchant_score_charge'),
    sa.CheckConstraint('score BETWEEN 0 AND 100', name='ck_merchant_score'),
    sa.ForeignKeyConstraint(['merchant_id'], ['merchant.id'], ),
    sa.PrimaryKeyConstraint('merchant_id')
    )
    with op.batch_alter_table('merchant_score', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_merchant_score_due_at'), ['due_at'], unique=False)

    with _changing('tariff'), op.batch_alter_table('tariff', schema=None) as batch_op:
        batch_op.add_column(sa.Column('market', sa.Enum('plain', 'beijing', 'chengdu', name='market', native_enum=False, create_constraint=True, length=32), nullable=False, server_default='plain'))

    with op.batch_alter_table('bank', schema=None) as batch_op:
        batch_op.add_column(sa.Column('batch', sa.String(length=32), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('is_to_inspect', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index(batch_op.f('ix_bank_batch'), ['batch'], unique=False)

    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.add_column(sa.Column('due_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('rounds', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('late_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('ended_why', sa.String(length=40), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('choice', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('deliver_by', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('left_m', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('moved_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('at_door_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('reminders', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('reminded_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index('ix_job_rental', ['rental_id', 'kind'], unique=False)
        batch_op.create_index('ix_job_due', ['due_at'], unique=False, sqlite_where=sa.text('due_at IS NOT NULL'), postgresql_where=sa.text('due_at IS NOT NULL'))

    op.create_table('offer',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('job_id', sa.String(length=26), nullable=False),
    sa.Column('rental_id', sa.String(length=26), nullable=False),
    sa.Column('person_id', sa.String(length=26), nullable=False),
    sa.Column('state', sa.Enum('open', 'accepted', 'declined', 'lapsed', 'taken', 'withdrawn', name='offerstate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('offered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('expires_at > offered_at', name='ck_offer_deadline'),
    sa.CheckConstraint("(state = 'open') = (answered_at IS NULL)", name='ck_offer_answered'),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_offer_job_id')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_offer_person_id')),
    sa.ForeignKeyConstraint(['rental_id'], ['rental.id'], name=op.f('fk_offer_rental_id')),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('offer', schema=None) as batch_op:
        batch_op.create_index('ix_offer_person', ['person_id', 'state'], unique=False)
        batch_op.create_index('ix_offer_rental', ['rental_id'], unique=False)
        batch_op.create_index('ix_offer_job', ['job_id', 'state'], unique=False)
        batch_op.create_index('uq_offer_once', ['job_id', 'person_id'], unique=True, sqlite_where=sa.text("state <> 'withdrawn'"), postgresql_where=sa.text("state <> 'withdrawn'"))
        batch_op.create_index('uq_offer_one_winner', ['job_id'], unique=True, sqlite_where=sa.text("state = 'accepted'"), postgresql_where=sa.text("state = 'accepted'"))

    op.create_table('shift',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('merchant_id', sa.String(length=26), nullable=False),
    sa.Column('person_id', sa.String(length=26), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('ended_at >= started_at', name='ck_shift_span'),
    sa.ForeignKeyConstraint(['merchant_id'], ['merchant.id'], name=op.f('fk_shift_merchant_id')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_shift_person_id')),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('shift', schema=None) as batch_op:
        batch_op.create_index('ix_shift_person', ['person_id'], unique=False, sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL'))
        batch_op.create_index('uq_shift_open', ['merchant_id', 'person_id'], unique=True, sqlite_where=sa.text('ended_at IS NULL'), postgresql_where=sa.text('ended_at IS NULL'))

    op.create_table('staff_position',
    sa.Column('person_id', sa.String(length=26), nullable=False),
    sa.Column('lat', sa.Float(), nullable=False),
    sa.Column('lng', sa.Float(), nullable=False),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('lat BETWEEN -90 AND 90 AND lng BETWEEN -180 AND 180', name='ck_staff_position'),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_staff_position_person_id')),
    sa.PrimaryKeyConstraint('person_id')
    )
    with op.batch_alter_table('staff_position', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_staff_position_told_at'), ['told_at'], unique=False)

    op.create_table('position_sample',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('job_id', sa.String(length=26), nullable=False),
    sa.Column('person_id', sa.String(length=26), nullable=False),
    sa.Column('lat', sa.Float(), nullable=False),
    sa.Column('lng', sa.Float(), nullable=False),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('lat BETWEEN -90 AND 90 AND lng BETWEEN -180 AND 180', name='ck_position_sample'),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_position_sample_job_id')),
    sa.ForeignKeyConstraint(['person_id'], ['person.id'], name=op.f('fk_position_sample_person_id')),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('position_sample', schema=None) as batch_op:
        batch_op.create_index('ix_position_sample_job', ['job_id', 'told_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_position_sample_told_at'), ['told_at'], unique=False)

    with op.batch_alter_table('merchant', schema=None) as batch_op:
        batch_op.add_column(sa.Column('cell', sa.String(length=16), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('hours', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('payout_account', sa.String(length=120), nullable=True))
        batch_op.create_index(batch_op.f('ix_merchant_cell'), ['cell'], unique=False)

    with op.batch_alter_table('person', schema=None) as batch_op:
        batch_op.add_column(sa.Column('name', sa.String(length=80), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('suspended_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table('rental', schema=None) as batch_op:
        batch_op.alter_column('amount_minor', existing_type=sa.Integer(), type_=sa.BigInteger())
        batch_op.add_column(sa.Column('replaces_id', sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column('promised_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('eta_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('eta_told_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('abnormal_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('attempt', sa.Integer(), nullable=False, server_default='1'))
        batch_op.add_column(sa.Column('urges', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('urged_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('free_used_s', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('used_before_s', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('cost_before_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('is_delivery_free', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column('cancelled_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('claimed_returned_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('due_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('overdue_told_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('missing_told_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('bought_out_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('merchant_minor', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('platform_minor', sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column('payment_due_by', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('past_due_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('paid_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('credited_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('settle_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('settled_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index('ix_rental_bank', ['bank_id', 'id'], unique=False)
        batch_op.create_index('ix_rental_out', ['due_at'], unique=False, sqlite_where=sa.text("state IN ('delivered', 'deposit_due', 'renting', 'returning', 'start_failed', 'starting')"), postgresql_where=sa.text("state IN ('delivered', 'deposit_due', 'renting', 'returning', 'start_failed', 'starting')"))
        batch_op.create_index('uq_rental_one_substitute', ['replaces_id'], unique=True, sqlite_where=sa.text("replaces_id IS NOT NULL AND state NOT IN ('cancelled', 'undeliverable')"), postgresql_where=sa.text("replaces_id IS NOT NULL AND state NOT IN ('cancelled', 'undeliverable')"))
        batch_op.create_index('ix_rental_due', ['payment_due_by'], unique=False, sqlite_where=sa.text("state = 'payment_due'"), postgresql_where=sa.text("state = 'payment_due'"))
        batch_op.create_index('ix_rental_unsettled', ['settle_at'], unique=False, sqlite_where=sa.text("state = 'completed' AND settled_at IS NULL"), postgresql_where=sa.text("state = 'completed' AND settled_at IS NULL"))
        batch_op.create_foreign_key(batch_op.f('fk_rental_replaces_id'), 'rental', ['replaces_id'], ['id'])
        batch_op.create_check_constraint('ck_rental_never_over_the_bill', sa.text('credited_minor >= 0 AND paid_minor >= 0 AND credited_minor + paid_minor <= coalesce(amount_minor, 0)'))
        batch_op.create_check_constraint('ck_rental_split_adds_up', sa.text('merchant_minor + platform_minor = amount_minor'))

    op.create_table('credit_note',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('rental_id', sa.String(length=26), nullable=False),
    sa.Column('kind', sa.Enum('late_output_off', 'found_again', 'dispute', 'goodwill', 'correction', name='creditkind', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('refunded_minor', sa.BigInteger(), nullable=False),
    sa.Column('merchant_minor', sa.BigInteger(), nullable=False),
    sa.Column('platform_minor', sa.BigInteger(), nullable=False),
    sa.Column('why', sa.String(length=500), nullable=False),
    sa.Column('by_id', sa.String(length=26), nullable=True),
    sa.Column('evidence', sa.String(length=160), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('amount_minor > 0', name='ck_credit_note_amount'),
    sa.CheckConstraint('merchant_minor >= 0 AND platform_minor >= 0 AND merchant_minor + platform_minor = amount_minor', name='ck_credit_note_split_adds_up'),
    sa.CheckConstraint('refunded_minor BETWEEN 0 AND amount_minor', name='ck_credit_note_refunded'),
    sa.ForeignKeyConstraint(['by_id'], ['person.id'], name=op.f('fk_credit_note_by_id')),
    sa.ForeignKeyConstraint(['rental_id'], ['rental.id'], name=op.f('fk_credit_note_rental_id')),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('credit_note', schema=None) as batch_op:
        batch_op.create_index('ix_credit_note_rental', ['rental_id', 'id'], unique=False)
        batch_op.create_index('uq_credit_note_once', ['rental_id', 'kind', 'evidence'], unique=True, sqlite_where=sa.text("evidence <> ''"), postgresql_where=sa.text("evidence <> ''"))

    op.create_table('refund',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('payment_id', sa.String(length=26), nullable=True),
    sa.Column('rental_id', sa.String(length=26), nullable=True),
    sa.Column('credit_id', sa.String(length=26), nullable=True),
    sa.Column('why', sa.Enum('surplus', 'credit', 'deposit', 'unclaimed', name='refundwhy', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('provider', sa.String(length=16), nullable=False),
    sa.Column('provider_ref', sa.String(length=128), nullable=True),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('asked_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('refunded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('returns', sa.Integer(), nullable=False),
    sa.CheckConstraint("(why = 'unclaimed') = (payment_id IS NULL)", name='ck_refund_of_a_payment'),
    sa.CheckConstraint('amount_minor > 0', name='ck_refund_amount'),
    sa.ForeignKeyConstraint(['credit_id'], ['credit_note.id'], name=op.f('fk_refund_credit_id')),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_refund_payment_id')),
    sa.ForeignKeyConstraint(['rental_id'], ['rental.id'], name=op.f('fk_refund_rental_id')),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('refund', schema=None) as batch_op:
        batch_op.create_index('ix_refund_payment', ['payment_id'], unique=False)
        batch_op.create_index('ix_refund_rental', ['rental_id'], unique=False)
        batch_op.create_index('uq_refund_unclaimed', ['provider', 'provider_ref'], unique=True, sqlite_where=sa.text("why = 'unclaimed'"), postgresql_where=sa.text("why = 'unclaimed'"))

    op.create_table('dispute',
    sa.Column('id', sa.String(length=26), nullable=False),
    sa.Column('rental_id', sa.String(length=26), nullable=False),
    sa.Column('renter_id', sa.String(length=26), nullable=False),
    sa.Column('merchant_id', sa.String(length=26), nullable=False),
    sa.Column('state', sa.Enum('open', 'upheld', 'partly_upheld', 'rejected', 'withdrawn', name='disputestate', native_enum=False, create_constraint=True, length=32), nullable=False),
    sa.Column('disputed_minor', sa.BigInteger(), nullable=False),
    sa.Column('granted_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('answer', sa.String(length=500), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_by_id', sa.String(length=26), nullable=True),
    sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name='ck_dispute_ended'),
    sa.CheckConstraint('disputed_minor > 0', name='ck_dispute_amount'),
    sa.CheckConstraint('granted_minor BETWEEN 0 AND disputed_minor', name='ck_dispute_granted_within'),
    sa.ForeignKeyConstraint(['ended_by_id'], ['person.id'], name=op.f('fk_dispute_ended_by_id')),
    sa.ForeignKeyConstraint(['merchant_id'], ['merchant.id'], name=op.f('fk_dispute_merchant_id')),
    sa.ForeignKeyConstraint(['rental_id'], ['rental.id'], name=op.f('fk_dispute_rental_id')),
    sa.ForeignKeyConstraint(['renter_id'], ['person.id'], name=op.f('fk_dispute_renter_id')),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('dispute', schema=None) as batch_op:
        batch_op.create_index('ix_dispute_merchant', ['merchant_id', 'id'], unique=False)
        batch_op.create_index('ix_dispute_rental', ['rental_id', 'id'], unique=False)
        batch_op.create_index('ix_dispute_state', ['state', 'id'], unique=False)
        batch_op.create_index('uq_dispute_one_open', ['rental_id'], unique=True, sqlite_where=sa.text("state = 'open'"), postgresql_where=sa.text("state = 'open'"))

    op.create_index('ix_command_stop', 'command', ['bank_id', 'created_at_ms'], unique=False, sqlite_where=sa.text("kind = 'charge_stop'"), postgresql_where=sa.text("kind = 'charge_stop'"))
    op.create_index('ix_domain_event_problem', 'domain_event', ['received_at_ms'], unique=False, sqlite_where=sa.text("problem IS NOT NULL"), postgresql_where=sa.text("problem IS NOT NULL"))
    with op.batch_alter_table('deposit', schema=None) as batch_op:
        batch_op.add_column(sa.Column('billed_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('returned_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.create_check_constraint('ck_deposit_spent_within', sa.text('billed_minor >= 0 AND returned_minor >= 0 AND billed_minor + returned_minor <= captured_minor'))
        batch_op.create_index('ix_deposit_waiting', ['state'], unique=False, sqlite_where=sa.text("state IN ('expired', 'secured')"), postgresql_where=sa.text("state IN ('expired', 'secured')"))
        batch_op.create_index('ix_deposit_expiry', ['capture_before'], unique=False, sqlite_where=sa.text("state = 'held'"), postgresql_where=sa.text("state = 'held'"))

    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.alter_column('payment_id', existing_type=sa.String(length=26), nullable=True)
        batch_op.add_column(sa.Column('refund_id', sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column('refusals', sa.Integer(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('aside_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index('ix_outbox_stuck', ['id'], unique=False, sqlite_where=sa.text('problem IS NOT NULL AND aside_at IS NULL'), postgresql_where=sa.text('problem IS NOT NULL AND aside_at IS NULL'))
        batch_op.create_foreign_key(batch_op.f('fk_outbox_refund_id'), 'refund', ['refund_id'], ['id'])
        batch_op.create_check_constraint('ck_outbox_subject', sa.text('payment_id IS NOT NULL OR refund_id IS NOT NULL'))

    with op.batch_alter_table('inbox', schema=None) as batch_op:
        batch_op.add_column(sa.Column('status', sa.String(length=16), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('captured_minor', sa.BigInteger(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('resolution', sa.String(length=500), nullable=False, server_default=''))
        batch_op.create_index('ix_inbox_unresolved', ['received_at'], unique=False, sqlite_where=sa.text('problem IS NOT NULL AND resolved_at IS NULL'), postgresql_where=sa.text('problem IS NOT NULL AND resolved_at IS NULL'))


def _tables_down() -> None:
    with op.batch_alter_table('payment', schema=None) as batch_op:
        batch_op.alter_column('pay_url', existing_type=sa.String(length=2000), type_=sa.String(length=500), existing_nullable=True)
        batch_op.add_column(sa.Column('is_surplus', sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.drop_column('unheard_of_at')
    op.execute(
        'UPDATE payment SET is_surplus = true '
        "WHERE id IN (SELECT payment_id FROM refund WHERE why = 'surplus')"
    )

    with op.batch_alter_table('dead_letter', schema=None) as batch_op:
        batch_op.drop_index('ix_dead_letter_wanted')
        batch_op.drop_column('outcome')
        batch_op.drop_column('closed_at_ms')
        batch_op.drop_column('wanted_at_ms')

    with op.batch_alter_table('inbox', schema=None) as batch_op:
        batch_op.drop_index('ix_inbox_unresolved', sqlite_where=sa.text('problem IS NOT NULL AND resolved_at IS NULL'), postgresql_where=sa.text('problem IS NOT NULL AND resolved_at IS NULL'))
        batch_op.drop_column('resolution')
        batch_op.drop_column('resolved_at')
        batch_op.drop_column('captured_minor')
        batch_op.drop_column('status')

    op.execute('DELETE FROM outbox WHERE payment_id IS NULL')
    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.drop_constraint('ck_outbox_subject', type_='check')
        batch_op.drop_constraint(batch_op.f('fk_outbox_refund_id'), type_='foreignkey')
        batch_op.drop_index('ix_outbox_stuck', sqlite_where=sa.text('problem IS NOT NULL AND aside_at IS NULL'), postgresql_where=sa.text('problem IS NOT NULL AND aside_at IS NULL'))
        batch_op.drop_column('aside_at')
        batch_op.drop_column('refusals')
        batch_op.drop_column('refund_id')
        batch_op.alter_column('payment_id', existing_type=sa.String(length=26), nullable=False)

    op.drop_index('ix_command_stop', 'command', sqlite_where=sa.text("kind = 'charge_stop'"), postgresql_where=sa.text("kind = 'charge_stop'"))
    op.drop_index('ix_domain_event_problem', 'domain_event', sqlite_where=sa.text("problem IS NOT NULL"), postgresql_where=sa.text("problem IS NOT NULL"))
    with op.batch_alter_table('deposit', schema=None) as batch_op:
        batch_op.drop_index('ix_deposit_waiting', sqlite_where=sa.text("state IN ('expired', 'secured')"), postgresql_where=sa.text("state IN ('expired', 'secured')"))
        batch_op.drop_index('ix_deposit_expiry', sqlite_where=sa.text("state = 'held'"), postgresql_where=sa.text("state = 'held'"))
        batch_op.drop_constraint('ck_deposit_spent_within', type_='check')
        batch_op.drop_column('returned_minor')
        batch_op.drop_column('billed_minor')

    op.drop_table('dispute')
    op.drop_table('refund')
    op.drop_table('credit_note')
    op.drop_table('merchant_score')
    with _changing('tariff'), op.batch_alter_table('tariff', schema=None) as batch_op:
        batch_op.drop_constraint('market', type_='check')
        batch_op.drop_column('market')

    op.drop_table('webhook_message')
    op.drop_table('webhook')
    op.drop_table('reconciliation_break')
    op.drop_table('reconciliation')
    op.drop_table('withdrawal')
    with _changing('posting'), op.batch_alter_table('posting', schema=None) as batch_op:
        batch_op.drop_constraint('uq_posting_number', type_='unique')
        batch_op.drop_column('balance_minor')
        batch_op.drop_column('number')
        batch_op.create_index('ix_posting_account', ['account', 'currency'], unique=False)

    with _changing('transfer'), op.batch_alter_table('transfer', schema=None) as batch_op:
        batch_op.drop_column('digest')

    with _changing('audit'):
        op.execute('UPDATE audit SET subject_id = substr(subject_id, 1, 40)')
        with op.batch_alter_table('audit', schema=None) as batch_op:
            batch_op.alter_column('subject_id', existing_type=sa.String(length=128), type_=sa.String(length=40), existing_nullable=False)

    with op.batch_alter_table('rental', schema=None) as batch_op:
        batch_op.drop_constraint('ck_rental_split_adds_up', type_='check')
        batch_op.drop_constraint('ck_rental_never_over_the_bill', type_='check')
        batch_op.drop_constraint(batch_op.f('fk_rental_replaces_id'), type_='foreignkey')
        batch_op.drop_index('ix_rental_unsettled', sqlite_where=sa.text("state = 'completed' AND settled_at IS NULL"), postgresql_where=sa.text("state = 'completed' AND settled_at IS NULL"))
        batch_op.drop_index('ix_rental_due', sqlite_where=sa.text("state = 'payment_due'"), postgresql_where=sa.text("state = 'payment_due'"))
        batch_op.drop_index('uq_rental_one_substitute', sqlite_where=sa.text("replaces_id IS NOT NULL AND state NOT IN ('cancelled', 'undeliverable')"), postgresql_where=sa.text("replaces_id IS NOT NULL AND state NOT IN ('cancelled', 'undeliverable')"))
        batch_op.drop_index('ix_rental_out', sqlite_where=sa.text("state IN ('delivered', 'deposit_due', 'renting', 'returning', 'start_failed', 'starting')"), postgresql_where=sa.text("state IN ('delivered', 'deposit_due', 'renting', 'returning', 'start_failed', 'starting')"))
        batch_op.drop_index('ix_rental_bank')
        batch_op.drop_column('settled_at')
        batch_op.drop_column('settle_at')
        batch_op.drop_column('credited_minor')
        batch_op.drop_column('paid_minor')
        batch_op.drop_column('past_due_at')
        batch_op.drop_column('payment_due_by')
        batch_op.drop_column('platform_minor')
        batch_op.drop_column('merchant_minor')
        batch_op.drop_column('bought_out_at')
        batch_op.drop_column('missing_told_at')
        batch_op.drop_column('overdue_told_at')
        batch_op.drop_column('due_at')
        batch_op.drop_column('claimed_returned_at')
        batch_op.drop_column('cancelled_at')
        batch_op.drop_column('is_delivery_free')
        batch_op.drop_column('cost_before_minor')
        batch_op.drop_column('used_before_s')
        batch_op.drop_column('free_used_s')
        batch_op.drop_column('urged_at')
        batch_op.drop_column('urges')
        batch_op.drop_column('attempt')
        batch_op.drop_column('abnormal_at')
        batch_op.drop_column('eta_told_at')
        batch_op.drop_column('eta_at')
        batch_op.drop_column('promised_at')
        batch_op.drop_column('replaces_id')
        batch_op.alter_column('amount_minor', existing_type=sa.BigInteger(), type_=sa.Integer())

    with op.batch_alter_table('person', schema=None) as batch_op:
        batch_op.drop_column('erased_at')
        batch_op.drop_column('suspended_at')
        batch_op.drop_column('name')

    with op.batch_alter_table('merchant', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_merchant_cell'))
        batch_op.drop_column('payout_account')
        batch_op.drop_column('hours')
        batch_op.drop_column('cell')

    for table in ('position_sample', 'staff_position', 'shift', 'offer'):
        op.drop_table(table)

    with op.batch_alter_table('job', schema=None) as batch_op:
        batch_op.drop_index('ix_job_rental')
        batch_op.drop_index('ix_job_due', sqlite_where=sa.text('due_at IS NOT NULL'), postgresql_where=sa.text('due_at IS NOT NULL'))
        for column in ('reminded_at', 'reminders', 'moved_at', 'left_m', 'deliver_by', 'choice'):
            batch_op.drop_column(column)
        batch_op.drop_column('ended_why')
        batch_op.drop_column('at_door_at')
        batch_op.drop_column('late_at')
        batch_op.drop_column('rounds')
        batch_op.drop_column('due_at')

    with op.batch_alter_table('bank', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_bank_batch'))
        batch_op.drop_column('is_to_inspect')
        batch_op.drop_column('batch')

    with op.batch_alter_table('account', schema=None) as batch_op:
        batch_op.drop_constraint('ck_account_side', type_='check')
        batch_op.drop_column('postings')
        batch_op.drop_column('balance_minor')
