"""The cast and the common ground: alice owns, bob is on her team, charlie is a stranger."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from workflows.models import Workflow

CHAIN = {
    "nodes": [
        {"id": "in", "type": "input", "data": {"label": "Take in"}},
        {"id": "work", "type": "process", "data": {"label": "Shout", "operation": "uppercase"}},
        {"id": "out", "type": "output", "data": {"label": "Give out"}},
    ],
    "edges": [{"source": "in", "target": "work"}, {"source": "work", "target": "out"}],
}


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """SQLite's test file is laid out as the real one: readers beside a writer."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA journal_mode=WAL")
    connection.close()


@pytest.fixture(autouse=True)
def quick_and_plain(settings: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Passwords are hashed quickly, static files need no manifest, and nothing is left in the project's data folder."""
    settings.DATA_DIR = tmp_path_factory.mktemp("data")
    settings.MASTER_KEYS = "c2VjcmV0cyBvZiB0ZXN0cyBhcmUgbm8gc2VjcmV0cyE="  # 32 bytes, as a key of the secrets has
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    storage = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}


@pytest.fixture
def team(db: None) -> Group:
    return Group.objects.create(name="team")


@pytest.fixture
def alice(team: Group) -> User:
    user = User.objects.create_user("alice", password="alice's password")
    user.groups.add(team)
    return user


@pytest.fixture
def bob(team: Group) -> User:
    user = User.objects.create_user("bob", password="bob's password")
    user.groups.add(team)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie", password="charlie's password")


@pytest.fixture
def owner(db: None) -> User:
    """The installation's first account."""
    return User.objects.create_superuser("owner", password="owner's password")


@pytest.fixture
def workflow(alice: User, team: Group) -> Workflow:
    """Alice's published chain of three steps, shared with her team."""
    workflow = Workflow.objects.create(name="Chain", owner=alice, group=team)
    workflow.publish(CHAIN, by=alice)
    return workflow


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def as_bob(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def as_charlie(charlie: User) -> Client:
    return signed_in(charlie)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
