"""The benches as a Django app (EXTRA_APPS), so that their step kinds are known in each of their processes."""

from django.apps import AppConfig


class BenchConfig(AppConfig):
    name = "tests.benchmarks"

    def ready(self) -> None:
        from tests.benchmarks import kinds
        from workflows import steps

        for kind in (kinds.Pause, kinds.Lines, kinds.Submit, kinds.Flaky):
            steps.register(kind)
