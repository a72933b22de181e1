"""The site as a Django app: its commands and its checks."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "workflowsite"
    verbose_name = "Stepstream"

    def ready(self) -> None:
        from workflowsite import checks  # noqa: F401  (this registers them)
