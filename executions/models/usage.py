"""What a step's attempt took of a language model: kept as rows, since a budget is shared by an execution's family."""

from __future__ import annotations

from django.db import models

from executions.models.execution import WorkflowExecution


class StepUsage(models.Model):
    execution = models.ForeignKey(WorkflowExecution, models.CASCADE, related_name="usages")
    root = models.ForeignKey(WorkflowExecution, models.CASCADE, related_name="+")
    node = models.CharField(max_length=64)
    attempt = models.PositiveIntegerField()
    model = models.CharField(max_length=200, blank=True)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.FloatField(null=True, help_text="Where the price is known.")

    def __str__(self) -> str:
        return f"{self.input_tokens + self.output_tokens} tokens"
