from workflows.models.edit import WorkflowEdit
from workflows.models.example import LoadedExample
from workflows.models.tag import WorkflowTag
from workflows.models.version import WorkflowVersion
from workflows.models.workflow import Workflow

__all__ = ["LoadedExample", "Workflow", "WorkflowEdit", "WorkflowTag", "WorkflowVersion"]
