"""How a bank obeys: the checks before a command, its carrying out, its answer.

A command is answered once and remembered; its id is in flash before anything moves. What takes
time (the bolt's travel, an installation) is a :class:`~firmware_sim.anatomy.Job`, one at most:
what would need a second one is answered ``busy``. :mod:`firmware_sim.bank` opens with the theory.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from firmware_sim import battery as cells
from firmware_sim.anatomy import Act, Answer, Bank, Job
from firmware_sim.senses import forget_told, settle, switch
from gateway.protocol import (
    REMEMBERED_COMMANDS,
    Command,
    CommandId,
    CommandKind,
    Fault,
    Lock,
    Outcome,
    Output,
    Refused,
    Result,
    UpdateArgs,
)

REBOOT_AFTER_MS: Final = 500
"""Between the result of ``reboot`` and the reboot, so that the result gets out."""
LOCATE_MS: Final = 10_000
REMEMBERED_ACTS: Final = 100

Answered = tuple[Bank, tuple[Result, ...]]
"""A bank, and the results it sent; none while it is off the air or at work."""


def obey(bank: Bank, command: Command) -> Answered:
    """Begin a command, or refuse it, or answer its repeat."""
    first = remembered(bank, CommandId(command.id))
    if first is not None and bank.model.deduplicates:
        return (bank, ()) if first.status is None else say_result(bank, first)
    no = _refusal(bank, command)
    if no is not None:
        status, reason = no
        return _conclude(bank, command, status, reason)
    return _BEGIN[command.kind](_act(bank, command), command)


def _refusal(bank: Bank, command: Command) -> tuple[Outcome, Refused] | None:
    """Why a bank does not even begin, or None."""
    ram = bank.ram
    if bank.model.honours_deadline:
        if command.boot != bank.flash.boot:
            return Outcome.EXPIRED, Refused.WRONG_BOOT
        if ram.up_ms > command.not_after_ms:
            return Outcome.EXPIRED, Refused.TOO_LATE
    reason: Refused | None = None
    if command.kind not in bank.model.kinds:
        reason = Refused.NOT_SUPPORTED
    elif ram.reboot_at_ms is not None or (ram.job is not None and command.kind in _EXCLUSIVE):
        reason = Refused.BUSY
    elif command.kind is CommandKind.CHARGE_START:
        reason = _why_not_feed(bank)
    elif command.kind is CommandKind.UPDATE and _update_args(command) is None:
        reason = Refused.BAD_ARGS
    return None if reason is None else (Outcome.REJECTED, reason)


def _why_not_feed(bank: Bank) -> Refused | None:
    if bank.ram.faults - {Fault.LOW_VOLTAGE}:
        return Refused.FAULTY
    low = cells.level_pct(bank.world.battery) < bank.flash.config.min_output_battery
    return Refused.LOW_BATTERY if low or Fault.LOW_VOLTAGE in bank.ram.faults else None


def _update_args(command: Command) -> UpdateArgs | None:
    try:
        return UpdateArgs.model_validate(command.args)
    except ValidationError:
        return None


# -- carrying out ------------------------------------------------------------------------


def _begin_charge_start(bank: Bank, command: Command) -> Answered:
    is_open = bank.world.bolt is Lock.UNLOCKED
    return _begin_job(bank, command, takes_ms=0 if is_open else bank.model.lock_travel_ms)


def _begin_charge_stop(bank: Bank, command: Command) -> Answered:
    is_closed = bank.world.bolt is Lock.LOCKED
    takes_ms = 0 if is_closed else bank.model.lock_travel_ms
    bank, _ = _begin_job(bank, command, takes_ms=takes_ms)
    return settle(switch(bank, Output.OFF)), ()


def _begin_locate(bank: Bank, command: Command) -> Answered:
    ram = replace(bank.ram, locating_until_ms=bank.ram.up_ms + LOCATE_MS)
    return _conclude(replace(bank, ram=ram), command, Outcome.DONE)


def _begin_report(bank: Bank, command: Command) -> Answered:
    return _conclude(forget_told(bank), command, Outcome.DONE)


def _begin_reboot(bank: Bank, command: Command) -> Answered:
    return _conclude(_reboot_soon(bank), command, Outcome.DONE)


def _begin_update(bank: Bank, command: Command) -> Answered:
    return _begin_job(bank, command, takes_ms=bank.model.install_ms)


_BEGIN: Final[dict[CommandKind, Callable[[Bank, Command], Answered]]] = {
    CommandKind.CHARGE_START: _begin_charge_start,
    CommandKind.CHARGE_STOP: _begin_charge_stop,
    CommandKind.LOCATE: _begin_locate,
    CommandKind.REPORT: _begin_report,
    CommandKind.REBOOT: _begin_reboot,
    CommandKind.UPDATE: _begin_update,
}
_EXCLUSIVE: Final = frozenset(CommandKind) - {CommandKind.LOCATE, CommandKind.REPORT}
"""Kinds that can't be carried out while another job is."""


def _begin_job(bank: Bank, command: Command, *, takes_ms: int) -> Answered:
    """Remember the id, and only then move."""
    bank = _remember(bank, Answer(command=CommandId(command.id), status=None))
    job = Job(command=command, ends_ms=bank.ram.up_ms + takes_ms)
    return replace(bank, ram=replace(bank.ram, job=job)), ()


def finish_due(bank: Bank) -> Answered:
    """End the job under way, if it is time."""
    job = bank.ram.job
    if job is None or bank.ram.up_ms < job.ends_ms:
        return bank, ()
    bank = replace(bank, ram=replace(bank.ram, job=None))
    if job.command.kind is CommandKind.UPDATE:
        return _finish_update(bank, job.command)
    return _finish_lock(bank, job.command)


def _finish_lock(bank: Bank, command: Command) -> Answered:
    """The bolt has arrived, or has not."""
    if bank.world.is_jammed:
        return _conclude(bank, command, Outcome.FAILED, Refused.FAULTY)
    starts = command.kind is CommandKind.CHARGE_START
    bolt = Lock.UNLOCKED if starts else Lock.LOCKED
    bank = settle(replace(bank, world=replace(bank.world, bolt=bolt)))
    if not starts:
        return _conclude(bank, command, Outcome.DONE)
    no = _why_not_feed(bank)
    if no is None:
        bank = settle(switch(bank, Output.ON))
        no = _why_not_feed(bank)  # the load itself may be too much
    return _conclude(bank, command, Outcome.FAILED if no else Outcome.DONE, no)


def _finish_update(bank: Bank, command: Command) -> Answered:
    args = _update_args(command)
    assert args is not None, "an update without args was refused before it began"  # noqa: S101
    bank = replace(bank, flash=replace(bank.flash, fw=args.version))
    return _conclude(_reboot_soon(bank), command, Outcome.DONE)


def _reboot_soon(bank: Bank) -> Bank:
    return replace(bank, ram=replace(bank.ram, reboot_at_ms=bank.ram.up_ms + REBOOT_AFTER_MS))


def _act(bank: Bank, command: Command) -> Bank:
    act = Act(
        command=CommandId(command.id),
        kind=command.kind,
        boot=bank.flash.boot,
        up_ms=bank.ram.up_ms,
    )
    acts = (*bank.world.acts, act)[-REMEMBERED_ACTS:]
    return replace(bank, world=replace(bank.world, acts=acts))


# -- answers -----------------------------------------------------------------------------


def remembered(bank: Bank, command: CommandId) -> Answer | None:
    """What this command was answered first, or None when it is new, or long gone."""
    return next((answer for answer in bank.flash.answers if answer.command == command), None)


def _remember(bank: Bank, answer: Answer) -> Bank:
    others = tuple(other for other in bank.flash.answers if other.command != answer.command)
    answers = (*others, answer)[-REMEMBERED_COMMANDS:]
    return replace(bank, flash=replace(bank.flash, answers=answers))


def _conclude(
    bank: Bank, command: Command, status: Outcome, reason: Refused | None = None
) -> Answered:
    answer = Answer(command=CommandId(command.id), status=status, reason=reason)
    bank = _remember(bank, answer)
    if status is Outcome.DONE:
        bank = replace(bank, flash=replace(bank.flash, last_command=answer.command))
    return say_result(bank, answer)


def say_result(bank: Bank, answer: Answer) -> Answered:
    """Send a command's result; off the air, owe it."""
    owed = (*(other for other in bank.ram.owed if other != answer.command), answer.command)
    bank = replace(bank, ram=replace(bank.ram, owed=owed[-REMEMBERED_COMMANDS:]))
    if not bank.ram.is_online:
        return bank, ()
    bank, result = result_of(bank, answer)
    return bank, (result,)


def result_of(bank: Bank, answer: Answer) -> tuple[Bank, Result]:
    """An answer as the next message of this boot."""
    assert answer.status is not None, "a command under way has no result yet"  # noqa: S101
    ram = replace(bank.ram, seq=bank.ram.seq + 1)
    result = Result(
        boot=bank.flash.boot,
        seq=ram.seq,
        up_ms=ram.up_ms,
        command=answer.command,
        status=answer.status,
        reason=answer.reason,
    )
    return replace(bank, ram=ram), result
