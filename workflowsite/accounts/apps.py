from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "workflowsite.accounts"
    label = "accounts"
