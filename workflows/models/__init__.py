from workflows.models.example import LoadedExample
from workflows.models.version import WorkflowVersion
from workflows.models.workflow import Workflow

__all__ = ["LoadedExample", "Workflow", "WorkflowVersion"]
