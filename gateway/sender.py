"""Command rows onto the wire, and their outcomes into events.

One sweep reads each bank's oldest open command with what is known of the bank, asks the pure
``commands.judge`` what to do, and writes that down in one transaction. What is to be sent is
published **after** the commit that counts it: killed in between, it is sent again in a moment.
Sweeps run when something happened (a new command, a word from a bank) and every so often, and
may run twice or in two processes: each move is a compare-and-set.

Settings wished for a bank go the same way, until the bank's state says that they are in force.
"""

import json
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Connection

from gateway.commands import CommandStatus, End, Send, Wait, judge
from gateway.events import (
    CommandDone,
    CommandExpired,
    CommandFailed,
    CommandOutcome,
    CommandUnknown,
)
from gateway.inbox import Outbox
from gateway.protocol import BankId, Channel, Command, Config, Refused, encode, topic
from gateway.settings import GatewaySettings
from gateway.store import OpenCommand, StaleConfig, Store

log = structlog.get_logger("gateway.sender")

_OUTCOMES: dict[CommandStatus, type[CommandOutcome]] = {
    CommandStatus.DONE: CommandDone,
    CommandStatus.FAILED: CommandFailed,
    CommandStatus.REJECTED: CommandFailed,
    CommandStatus.EXPIRED: CommandExpired,
    CommandStatus.UNKNOWN: CommandUnknown,
}
_CONFIG_RESEND_MS = 60_000

Outgoing = tuple[str, bytes, int, bool]
"""Topic, payload, QoS, retained."""


class Sender:
    """Sends commands and settings, and decides what became of them."""

    def __init__(self, store: Store, settings: GatewaySettings) -> None:
        self._store = store
        self._settings = settings

    def sweep(self, now_ms: int, *, can_send: bool = True) -> tuple[list[Outgoing], bool]:
        """Decide and write down. Runs in a worker thread.

        Args:
            now_ms: the time, UTC.
            can_send: whether there is a broker to send to; without one, commands only end.

        Returns:
            What to publish now, and whether there is news for the backend.
        """
        outgoing: list[Outgoing] = []
        ended: list[CommandOutcome] = []
        limit = self._settings.sweep_max
        with self._store.transaction() as connection:
            for command in self._store.open_commands(connection, limit):
                step: Send | End | Wait | None = self._judge(command, now_ms)
                if isinstance(step, Send) and can_send:
                    step = self._send(connection, command, step, now_ms, outgoing)
                if isinstance(step, End):
                    self._end(connection, command, step, now_ms, ended)
            self._store.add_events(connection, ended)
            if can_send:
                self._send_configs(connection, now_ms, outgoing)
        return outgoing, bool(ended)

    def _judge(self, command: OpenCommand, now_ms: int) -> Send | End | Wait:
        return judge(
            command.wish,
            command.shadow,
            now_ms=now_ms,
            rules=self._settings.command_rules,
            capabilities=self._settings.capabilities(
                command.shadow.model if command.shadow else None
            ),
        )

    def _send(
        self,
        connection: Connection,
        command: OpenCommand,
        send: Send,
        now_ms: int,
        outgoing: list[Outgoing],
    ) -> End | None:
        """Count a sending; the end of a command that can't be put in the contract's words."""
        try:
            instruction = _instruction(command, send)
        except ValueError:
            return End(status=CommandStatus.FAILED, reason=Refused.BAD_ARGS)
        if self._store.mark_sent(connection, command, send, now_ms):
            outgoing.append(instruction)
        return None

    def _end(
        self,
        connection: Connection,
        command: OpenCommand,
        end: End,
        now_ms: int,
        ended: list[CommandOutcome],
    ) -> None:
        if self._store.mark_ended(connection, command, end, now_ms):
            ended.append(_outcome(command, end, now_ms))
            log.info("command_ended", command=command.wish.id, status=end.status.value)

    def _send_configs(self, connection: Connection, now_ms: int, outgoing: list[Outgoing]) -> None:
        configs = self._store.stale_configs(
            connection,
            not_sent_since_ms=now_ms - _CONFIG_RESEND_MS,
            limit=self._settings.sweep_max,
        )
        for config in configs:
            self._store.mark_config_sent(connection, config.bank, now_ms)
            outgoing.append(_config(config))


def publish(outbox: Outbox, outgoing: Sequence[Outgoing]) -> None:
    """Hand what a sweep decided to the broker; what it does not take is sent again later."""
    for name, payload, qos, retain in outgoing:
        outbox.publish(name, payload, qos=qos, retain=retain)


def _instruction(command: OpenCommand, send: Send) -> Outgoing:
    args: dict[str, Any] = json.loads(command.args)
    message = Command(
        id=command.wish.id,
        kind=command.wish.kind,
        boot=send.boot,
        not_after_ms=max(0, send.not_after_ms),
        args=args,
    )
    return topic(command.bank, Channel.COMMAND), encode(message), send.qos, False


def _config(config: StaleConfig) -> Outgoing:
    message = Config(
        version=config.version,
        report_s=config.report_s,
        low_battery=config.low_battery,
        min_output_battery=config.min_output_battery,
    )
    return topic(BankId(config.bank), Channel.CONFIG), encode(message), 1, True


def _outcome(command: OpenCommand, end: End, now_ms: int) -> CommandOutcome:
    return _OUTCOMES[end.status](
        bank=command.bank,
        key=command.wish.id,
        occurred_at_ms=now_ms,
        received_at_ms=now_ms,
        command=command.wish.id,
        command_kind=command.wish.kind.value,
        reason=end.reason,
    )
