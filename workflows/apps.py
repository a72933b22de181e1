from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class WorkflowsConfig(AppConfig):
    name = "workflows"

    def ready(self) -> None:
        autodiscover_modules("workflow_functions")  # of a team's own apps: see functions.py
