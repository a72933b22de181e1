"""`manage.py create_token USERNAME`: a new API token, shown once, as the last word of the output."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from workflowsite.accounts.models import ApiToken


class Command(BaseCommand):
    help = "Makes an API token for a user and prints it as the last word. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="by create_token", help="what the token is for, as the admin shows it")

    def handle(self, *args: Any, username: str, name: str, **options: Any) -> None:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user named {username!r}.")
        _, plain = ApiToken.issue(user, name)
        self.stdout.write(f"A token for {username}, shown this once: {plain}")
