"""`manage.py rotate_keys`: a new key for the secrets. Everything is encrypted anew; a server may run meanwhile.

Killed in between, it goes on when it is run again. Exit codes: 0 done, 1 something could not be done.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workflows.errors import VaultError
from workflows.secrets import key_check, key_file, rotation
from workflows.secrets.vault import Vault, new_key, vault
from workflows.secrets.vault import key_file as file_of_keys
from workflows.words import count


class Command(BaseCommand):
    help = "Encrypts all secrets with a new key, or with the first of MASTER_KEYS where they are set."
    requires_system_checks = []  # it is what helps where they complain of the keys

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--drop", action="store_true", help="remove the keys that nothing needs any more")
        what.add_argument("--new", action="store_true", help="print a new key, for MASTER_KEYS, and change nothing")
        what.add_argument("--start-over", action="store_true", help="the keys are lost: empty every secret")

    def handle(self, *args: Any, drop: bool, new: bool, start_over: bool, **options: Any) -> None:
        try:
            if new:
                self.stdout.write(new_key().text)
            elif start_over:
                self.start_over()
            else:
                self.drop(key_check.make_ready()) if drop else self.rotate(key_check.make_ready())
        except VaultError as error:
            raise CommandError(error.message) from None

    def rotate(self, keys: Vault) -> None:
        if not settings.MASTER_KEYS and not rotation.is_under_way(keys):
            key_file.write(file_of_keys(), [new_key(), *keys.keys])
            keys = vault()
        elif settings.MASTER_KEYS and len(keys.keys) == 1:
            raise CommandError(
                "MASTER_KEYS holds one key: put a new one in front of it, separated by a comma, and run this again. "
                "`manage.py rotate_keys --new` prints one."
            )
        rotated = rotation.rotate(keys)
        self.stdout.write(f"Encrypted anew with key {keys.first.id}: {count(rotated.done, 'secret')}.")
        self.tell_unneeded(keys)
        if rotated.lost:
            raise CommandError(f"The key of these is not here: {', '.join(rotated.lost)}. Give them a new value.")

    def tell_unneeded(self, keys: Vault) -> None:
        _, unneeded = rotation.without(keys, key_check.used())
        if unneeded:
            self.stdout.write(
                f"Nothing here needs {', '.join(unneeded)} any more, but backups from before do. "
                "Copy the keys to where you keep them; `manage.py rotate_keys --drop` removes the old ones."
            )

    def drop(self, keys: Vault) -> None:
        kept, unneeded = rotation.without(keys, key_check.used())
        if not unneeded:
            self.stdout.write(f"Every key is needed: {', '.join(key.id for key in keys.keys)}.")
        elif settings.MASTER_KEYS:
            places = [str(n) for n, key in enumerate(keys.keys, 1) if key.id in unneeded]
            self.stdout.write(f"Take these out of MASTER_KEYS, counted from the front: {', '.join(places)}.")
        else:
            key_file.write(file_of_keys(), kept.keys)
            self.stdout.write(f"Removed {', '.join(unneeded)}. Backups from before need them.")

    def start_over(self) -> None:
        emptied = rotation.start_over()
        if not settings.MASTER_KEYS:
            key_file.write(file_of_keys(), [new_key()])
        key_check.make_ready()
        self.stdout.write(f"A new start: {count(emptied, 'secret')} without a value. Type them in again.")
