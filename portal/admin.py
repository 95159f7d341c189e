"""The support team's admin as a whole. What it shows of stores is in stores/admin."""

from django.apps import apps
from django.contrib import admin

admin.site.site_header = "Storeyard support"
admin.site.site_title = "Storeyard support"
admin.site.index_title = "What can be looked at and done"

# A schedule names any function of the process, and a failed task can be sent again by its name:
# whoever edits them runs code. (This app comes after django_q, which has registered them by now.)
for model in apps.get_app_config("django_q").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
