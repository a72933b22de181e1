"""Addresses of secrets and variables."""

from django.urls import path

from workflows.views import secrets, variables

app_name = "secrets"

urlpatterns = [
    path("secrets/", secrets.listed, name="list"),
    path("secrets/new/", secrets.new, name="new"),
    path("secrets/<int:secret_id>/", secrets.show, name="show"),
    path("secrets/<int:secret_id>/delete/", secrets.delete, name="delete"),
    path("variables/new/", variables.new, name="new-variable"),
    path("variables/<int:variable_id>/", variables.show, name="variable"),
    path("variables/<int:variable_id>/delete/", variables.delete, name="delete-variable"),
]
