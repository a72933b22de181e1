"""A text that everybody may know, sealed with the key of the secrets: whether a key is the right one shows on it."""

from django.db import models

from workflows.secrets.vault import Vault

TEXT, BOUND = "This key is the right one.", "canary"


class Canary(models.Model):
    ciphertext = models.TextField()

    class Meta:
        verbose_name_plural = "canaries"

    def __str__(self) -> str:
        return TEXT

    @classmethod
    def put(cls, keys: Vault) -> None:
        cls.objects.update_or_create(pk=1, defaults={"ciphertext": keys.seal(TEXT, BOUND)})

    def require(self, keys: Vault) -> None:
        """Raises VaultError where none of the keys opens it."""
        keys.unseal(self.ciphertext, BOUND)
