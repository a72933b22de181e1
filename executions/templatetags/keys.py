"""{% new_key %}: for each form that starts an execution, so that a double click gives one."""

from django import template

from executions import forms

register = template.Library()
register.simple_tag(forms.new_key)
