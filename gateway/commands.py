"""A command's life: when to send, when to send again, when to believe, when to give up.

The theory
----------
A command is a wish with a deadline. *Sent* is not *done*: it is done when the bank's **state**
says so. A bank's *no* (a result ``failed``, ``rejected`` or ``expired``) is believed; its *yes*
is not, until the state follows.

It is addressed to one boot of the bank and carries its deadline in that boot's clock, so that
what a broker kept for two hours, or across a reboot, does nothing. A bank remembers its last
ids, so sending again is harmless, and a command goes out again until something is heard of it.

After the deadline there are three ends. It was never sent, or the bank's state, read *after*
the deadline, shows that it was not carried out: ``expired``, nobody is charged. Nothing was
heard: ``unknown``, which is a state with rules: the money stays held, and the bank's next word
resolves it.

A bank model that does not remember ids (``deduplicates``) is sent a physical command at QoS 0,
and again only once a later state shows that the first was not carried out. One that does not
heed deadlines (``honours_deadline``) is never thought of as expired while it is away.

One command per bank is in flight at a time, the oldest first.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.presence import Presence
from gateway.protocol import PHYSICAL, CommandId, CommandKind, Outcome, Output, Refused
from gateway.shadow import Shadow


class CommandStatus(StrEnum):
    """Where a command is in its life."""

    CREATED = "created"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


MOVES: Final[dict[CommandStatus, frozenset[CommandStatus]]] = {
    CommandStatus.CREATED: frozenset(
        {CommandStatus.SENT, CommandStatus.FAILED, CommandStatus.EXPIRED}
    ),
    CommandStatus.SENT: frozenset(
        {
            CommandStatus.SENT,
            CommandStatus.DONE,
            CommandStatus.FAILED,
            CommandStatus.REJECTED,
            CommandStatus.EXPIRED,
            CommandStatus.UNKNOWN,
        }
    ),
    CommandStatus.UNKNOWN: frozenset(
        {
            CommandStatus.DONE,
            CommandStatus.FAILED,
            CommandStatus.REJECTED,
            CommandStatus.EXPIRED,
        }
    ),
    CommandStatus.DONE: frozenset(),
    CommandStatus.FAILED: frozenset(),
    CommandStatus.REJECTED: frozenset(),
    CommandStatus.EXPIRED: frozenset(),
}
"""What may follow what. ``sent`` follows itself: it is sent again. A wish that can't be put in
the contract's words has failed before it was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRules:
    """How patient the platform is."""

    resend_after_ms: int = 2_000
    """Before the second sending; each wait is twice the one before."""
    most_sendings: int = 6
    settle_ms: int = 30_000
    """After the deadline, how long the bank has to tell what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a bank model can be trusted with."""

    honours_deadline: bool = True
    deduplicates: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A command as far as it has come."""

    id: CommandId
    kind: CommandKind
    status: CommandStatus
    expires_at_ms: int
    boot: int | None = None
    not_after_ms: int | None = None
    attempts: int = 0
    sent_at_ms: int | None = None
    outcome: Outcome | None = None
    """The bank's own word on it since the last sending."""
    reason: Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send it, now, to this boot, with this deadline in that boot's clock."""

    boot: int
    not_after_ms: int
    qos: int


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """It is over, or in doubt."""

    status: CommandStatus
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do before ``until_ms``, unless the bank speaks."""

    until_ms: int


def judge(
    wish: Wish,
    bank: Shadow | None,
    *,
    now_ms: int,
    rules: CommandRules,
    capabilities: Capabilities,
) -> Send | End | Wait:
    """The next thing to do about a command.

    Args:
        wish: the command; its status is ``created``, ``sent`` or ``unknown``.
        bank: what is known of its bank; None when it was never heard.
        now_ms: the time, UTC.
        rules: how patient to be.
        capabilities: what the bank's model can be trusted with.
    """
    known = bank if bank is not None and bank.is_known else None
    if wish.attempts and known is not None and is_carried_out(wish, known):
        return End(status=CommandStatus.DONE)
    no = _said_no(wish)
    if no is not None:
        return no
    if now_ms >= wish.expires_at_ms:
        return _after_the_deadline(wish, known, now_ms, rules, capabilities)
    if known is None or known.presence == Presence.OFFLINE:
        return Wait(until_ms=wish.expires_at_ms)
    return _while_there_is_time(wish, known, now_ms, rules, capabilities)


def is_carried_out(wish: Wish, bank: Shadow) -> bool:
    """Whether the bank's state says that it did what it was told, and that it still is so."""
    if bank.last_command != wish.id:
        return False
    if wish.kind not in PHYSICAL:
        return True
    return bank.output == (Output.ON if wish.kind is CommandKind.CHARGE_START else Output.OFF)


_NOES: Final[dict[Outcome | None, CommandStatus]] = {
    Outcome.FAILED: CommandStatus.FAILED,
    Outcome.REJECTED: CommandStatus.REJECTED,
    Outcome.EXPIRED: CommandStatus.EXPIRED,
}


def _said_no(wish: Wish) -> End | None:
    status = _NOES.get(wish.outcome)
    if status is None or wish.reason is Refused.WRONG_BOOT:  # then it is addressed anew
        return None
    return End(status=status, reason=wish.reason)


def _while_there_is_time(
    wish: Wish, bank: Shadow, now_ms: int, rules: CommandRules, capabilities: Capabilities
) -> Send | Wait:
    physical = wish.kind in PHYSICAL
    qos = 0 if physical and not capabilities.deduplicates else 1
    not_after_ms = wish.expires_at_ms - bank.boot_at_ms()
    if wish.attempts == 0 or wish.boot != bank.boot or wish.not_after_ms is None:
        return Send(boot=bank.boot, not_after_ms=not_after_ms, qos=qos)
    if wish.outcome is Outcome.DONE or wish.attempts >= rules.most_sendings:
        return Wait(until_ms=wish.expires_at_ms)
    sent_at_ms = wish.sent_at_ms or 0
    due_ms = sent_at_ms + rules.resend_after_ms * 2 ** (wish.attempts - 1)
    if now_ms < due_ms:
        return Wait(until_ms=min(due_ms, wish.expires_at_ms))
    if qos == 0 and bank.state_at_ms <= due_ms - rules.resend_after_ms // 2:
        return Wait(until_ms=wish.expires_at_ms)
    return Send(boot=bank.boot, not_after_ms=wish.not_after_ms, qos=qos)


def _after_the_deadline(
    wish: Wish,
    bank: Shadow | None,
    now_ms: int,
    rules: CommandRules,
    capabilities: Capabilities,
) -> End | Wait:
    if wish.attempts == 0:
        return End(status=CommandStatus.EXPIRED, reason="not_sent")
    settled_at_ms = wish.expires_at_ms + rules.settle_ms
    if bank is not None and _can_no_longer_act(wish, bank, capabilities, settled_at_ms):
        if bank.last_command == wish.id:
            return End(status=CommandStatus.FAILED, reason="did_not_last")
        return End(status=CommandStatus.EXPIRED, reason="not_carried_out")
    if now_ms < settled_at_ms or wish.status is CommandStatus.UNKNOWN:
        return Wait(until_ms=max(settled_at_ms, now_ms + rules.settle_ms))
    return End(status=CommandStatus.UNKNOWN, reason="no_answer")


def _can_no_longer_act(
    wish: Wish, bank: Shadow, capabilities: Capabilities, settled_at_ms: int
) -> bool:
    """Whether the bank's state, which does not show the command, was read too late for it."""
    if wish.boot is None or wish.not_after_ms is None:
        return False
    if bank.boot != wish.boot:
        return bank.boot > wish.boot
    if not capabilities.honours_deadline:
        return bank.state_at_ms > settled_at_ms
    return bank.up_ms > wish.not_after_ms
