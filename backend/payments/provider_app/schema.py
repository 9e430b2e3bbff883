"""The tables of the provider's memory, version by version: a file is brought up to the last."""

from typing import Final

_PAYMENTS: Final = """
CREATE TABLE payment (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    mode TEXT NOT NULL,
    description TEXT NOT NULL,
    return_url TEXT NOT NULL,
    status TEXT NOT NULL,
    captured_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    pay_before_us INTEGER NOT NULL,
    capture_before_us INTEGER,
    due_us INTEGER,
    CHECK (0 <= refunded_minor AND refunded_minor <= captured_minor),
    CHECK (captured_minor <= amount_minor),
    CHECK (captured_minor = 0 OR status = 'paid')
) STRICT;
CREATE INDEX payment_due ON payment (due_us) WHERE due_us IS NOT NULL;

CREATE TABLE answer (
    key TEXT PRIMARY KEY,
    wish TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payment_id TEXT NOT NULL REFERENCES payment (id),
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_us INTEGER,
    outcome TEXT,
    CHECK ((due_us IS NULL) = (outcome IS NOT NULL))
) STRICT;
CREATE INDEX notice_due ON notice (due_us) WHERE due_us IS NOT NULL;
"""

_PAYOUTS: Final = """
ALTER TABLE payment ADD COLUMN paid_us INTEGER;
UPDATE payment SET paid_us = created_us WHERE captured_minor > 0;
CREATE INDEX payment_paid ON payment (paid_us, id) WHERE paid_us IS NOT NULL;

CREATE TABLE payout (
    id TEXT PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    amount_minor INTEGER NOT NULL CHECK (amount_minor > 0),
    currency TEXT NOT NULL,
    account TEXT NOT NULL,
    description TEXT NOT NULL,
    status TEXT NOT NULL,
    failure TEXT,
    created_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    CHECK ((failure IS NOT NULL) = (status = 'failed'))
) STRICT;
CREATE INDEX payout_due ON payout (due_us) WHERE status = 'pending';

CREATE TABLE any_notice (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    body TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_us INTEGER,
    outcome TEXT,
    is_behind INTEGER NOT NULL DEFAULT 0,
    CHECK ((due_us IS NULL) = (outcome IS NOT NULL))
) STRICT;
INSERT INTO any_notice (id, kind, subject_id, reference, body, attempts, due_us, outcome)
    SELECT notice.id, kind, payment_id, reference, body, attempts, notice.due_us, outcome
    FROM notice JOIN payment ON payment.id = payment_id;
DROP TABLE notice;
ALTER TABLE any_notice RENAME TO notice;
CREATE INDEX notice_due ON notice (due_us) WHERE due_us IS NOT NULL;
"""

VERSIONS: Final = (_PAYMENTS, _PAYOUTS)
"""What leads from each version to the next; an empty file is of version 0."""
