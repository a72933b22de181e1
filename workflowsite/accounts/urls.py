from django.urls import path

from workflowsite.accounts import views

app_name = "accounts"

urlpatterns = [
    path("sign-in/", views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", views.SignOut.as_view(), name="sign-out"),
    path("password/", views.ChangePassword.as_view(), name="password"),
    path("welcome/<uid>/<token>/", views.welcome, name="welcome"),
    path("set-up/", views.set_up, name="set-up"),
]
