from django.apps import AppConfig


class ExecutionsConfig(AppConfig):
    name = "executions"

    def ready(self) -> None:
        """Who builds gets to know what ran: the other room cannot ask for it by itself."""
        from executions.recall import recall
        from workflows import memory

        memory.learn_from(recall)
