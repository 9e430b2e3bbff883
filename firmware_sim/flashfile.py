"""A bank's flash, and the thing around it, as a file: so that a restarted simulator boots on.

A simulator that ends is a bank that loses its power. What RAM knew is gone; flash, cells and the
bolt's position are not, nor is what was plugged in.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from firmware_sim.anatomy import Bank, Flash, World
from gateway.protocol import BankId


class FlashProblem(Exception):  # noqa: N818 - named as what it is
    """A flash file that can't be used; its text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a loss of power does not take."""

    flash: Flash
    world: World


_KEPT = TypeAdapter(Kept)


class FlashDir:
    """One file per bank, in a directory."""

    def __init__(self, path: Path) -> None:
        """Make the directory, where it is not there.

        Raises:
            FlashProblem: it can't be made, or not be written to.
        """
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the flash directory {path} can't be made: {error.strerror}"
            raise FlashProblem(msg) from error
        if not os.access(path, os.W_OK):
            msg = f"the flash directory {path} can't be written to; give another with --flash-dir"
            raise FlashProblem(msg)

    def load(self, bank_id: BankId) -> Kept | None:
        """What was kept of a bank, or None when it is new.

        Raises:
            FlashProblem: the file is not what :meth:`save` writes.
        """
        path = self._file(bank_id)
        try:
            return _KEPT.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            msg = f"the flash file {path} can't be read; delete it to begin with boot 1"
            raise FlashProblem(msg) from error

    def save(self, bank_id: BankId, bank: Bank) -> None:
        """Keep a bank's flash; the old file or the new one is there at any moment.

        Raises:
            FlashProblem: the disk is full, or the directory is gone.
        """
        path = self._file(bank_id)
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(_KEPT.dump_json(Kept(flash=bank.flash, world=bank.world)))
            partial.replace(path)
        except OSError as error:
            msg = f"the flash file {path} can't be written: {error.strerror}"
            raise FlashProblem(msg) from error

    def _file(self, bank_id: BankId) -> Path:
        return self._path / f"{bank_id}.json"
