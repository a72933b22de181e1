"""What language models took of an execution, or of one of its steps, in words. Reads, and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet, Sum

from executions.models import StepUsage, WorkflowExecution
from workflows.steps.language.question import dollars


@dataclass(frozen=True, slots=True)
class Spent:
    """`cost_usd` is None where no price is known; `is_whole`: every price is."""

    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    is_whole: bool
    models: tuple[str, ...]

    @property
    def words(self) -> str:
        """“1,240 tokens, $0.0031”, “1,240 tokens, at least $0.0031”."""
        tokens = f"{self.input_tokens + self.output_tokens:,} tokens"
        if self.cost_usd is None:
            return tokens
        return f"{tokens}, {'' if self.is_whole else 'at least '}{dollars(self.cost_usd)}"

    @property
    def detail(self) -> str:
        """Also which way they went, and to whom."""
        return f"{self.input_tokens:,} in, {self.output_tokens:,} out; {', '.join(self.models)}".rstrip("; ")


def of_execution(execution: WorkflowExecution) -> Spent | None:
    """With all that it calls, where it is not called itself; None where no model was asked."""
    return _spent(StepUsage.objects.filter(Q(root=execution.pk) | Q(execution=execution.pk)))


def of_step(execution: WorkflowExecution, node_id: str) -> Spent | None:
    """Every attempt counted."""
    return _spent(StepUsage.objects.filter(execution=execution.pk, node=node_id))


def _spent(rows: QuerySet[StepUsage]) -> Spent | None:
    found = rows.aggregate(
        rows=Count("pk"),
        given=Sum("input_tokens"),
        made=Sum("output_tokens"),
        cost=Sum("cost_usd"),
        priced=Count("cost_usd"),
    )
    if not found["rows"]:
        return None
    models = tuple(rows.exclude(model="").order_by("model").values_list("model", flat=True).distinct()[:5])
    return Spent(found["given"], found["made"], found["cost"], found["priced"] == found["rows"], models)
