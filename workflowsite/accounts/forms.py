"""The forms at the door. Both ways to sign in, ours and the admin's, go through the same throttle."""

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm
from django.core.exceptions import ValidationError

from workflowsite.accounts import throttle


class SignInForm(AuthenticationForm):
    error_messages = {
        **AuthenticationForm.error_messages,
        "invalid_login": "This username and this password do not belong together. Capitals count in both.",
    }
    refusal: throttle.TooManyTries | None = None

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if self.request is None or username is None or not self.cleaned_data.get("password"):
            return super().clean()
        try:
            attempt = throttle.begin(self.request, username)
        except throttle.TooManyTries as refusal:
            self.refusal = refusal
            raise ValidationError(str(refusal), code="too_many_tries") from refusal
        cleaned = super().clean()  # raises where the password is wrong, and the attempt stays
        attempt.succeeded()
        return cleaned


class AdminSignInForm(SignInForm, AdminAuthenticationForm):
    """For the admin's own page, which somebody who is signed in but is not staff can reach."""


class OwnerForm(BaseUserCreationForm):
    """The first owner's name and password, for the account that the one-time link opened."""

    class Meta(BaseUserCreationForm.Meta):
        fields = ("username",)
