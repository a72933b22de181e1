"""A word by which workflows are found. A row a word and workflow, so that nobody reads the words of others."""

from django.db import models


class WorkflowTag(models.Model):
    workflow = models.ForeignKey("Workflow", models.CASCADE, related_name="tags", db_index=False)
    name = models.CharField(max_length=40)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=["workflow", "name"], name="one_tag_a_name"),)
        indexes = (models.Index("name", name="tag_name"),)

    def __str__(self) -> str:
        return self.name
