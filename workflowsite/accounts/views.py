"""The pages at the door: sign in, sign out, a new password, and the first owner's welcome."""

from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash, views
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from workflowsite.accounts import owner
from workflowsite.accounts.forms import OwnerForm, SignInForm


class SignIn(views.LoginView):
    template_name = "accounts/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        if isinstance(form, SignInForm) and form.refusal is not None:
            response.status_code = 429
            response.headers["Retry-After"] = str(form.refusal.seconds)
        return response


class SignOut(views.LogoutView):
    """By POST alone, which is Django's rule too: a picture in a mail cannot sign anybody out."""


class ChangePassword(SuccessMessageMixin, views.PasswordChangeView):
    template_name = "accounts/password.html"
    success_url = "/"
    success_message = "Your password is changed. Other browsers are signed out."

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        if _has_no_password(request):
            return redirect("accounts:set-up")  # there is no old password to ask for
        return super().dispatch(request, *args, **kwargs)


@never_cache
@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """The one-time link: looking at it uses nothing up (mail scanners and previews look), its button does."""
    guest = owner.invited(uid, token)
    if guest is None or (request.method == "POST" and not owner.use_up(guest)):
        return render(request, "accounts/link_used.html", status=410)
    if request.method == "GET":
        return render(request, "accounts/welcome.html")
    login(request, guest)
    return redirect("accounts:set-up")


@sensitive_post_parameters()
@never_cache
@require_http_methods(["GET", "POST"])
def set_up(request: HttpRequest) -> HttpResponse:
    """Name and password for whoever came by the link. It may be skipped: the next start prints a new link."""
    if not _has_no_password(request):
        return redirect("accounts:password")
    guest = User.objects.get(username=request.user.get_username())  # a copy: the form writes on it what was typed
    form = OwnerForm(request.POST or None, instance=guest)
    if not form.is_valid():
        return render(request, "accounts/set_up.html", {"form": form})
    update_session_auth_hash(request, form.save())
    messages.success(request, "Your password is set.")
    return redirect("/")


def _has_no_password(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and not request.user.has_usable_password()
