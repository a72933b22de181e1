"""A team's own app, installed by EXTRA_APPS alone: it brings a step kind and touches nothing of the house."""

from django.apps import AppConfig


class ExtraConfig(AppConfig):
    name = "tests.journeys.extra_app"
    label = "extra"

    def ready(self) -> None:
        from tests.journeys.extra_app.flood import Flood
        from workflows.steps import register

        register(Flood)
