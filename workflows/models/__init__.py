from workflows.models.canary import Canary
from workflows.models.edit import WorkflowEdit
from workflows.models.example import LoadedExample
from workflows.models.secret import Secret
from workflows.models.tag import WorkflowTag
from workflows.models.variable import Variable
from workflows.models.version import WorkflowVersion
from workflows.models.workflow import Workflow

__all__ = [
    "Canary",
    "LoadedExample",
    "Secret",
    "Variable",
    "Workflow",
    "WorkflowEdit",
    "WorkflowTag",
    "WorkflowVersion",
]
