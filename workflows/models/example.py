"""Which examples were brought in already: one that was deleted stays deleted."""

from django.db import models


class LoadedExample(models.Model):
    slug = models.SlugField(unique=True)
    loaded_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug
