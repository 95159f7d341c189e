"""The support team's admin as a whole. What it shows of stores is in stores/admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy

admin.site.site_header = admin.site.site_title = gettext_lazy("Storeyard support")
admin.site.index_title = gettext_lazy("What can be looked at and done")
# The first page lists the few models there are; beside a list, that would take its columns' room.
admin.site.enable_nav_sidebar = False

# Only what is ours to show. A schedule of django_q names any function of the process, and a failed task
# can be sent again by its name: whoever edits them runs code. Of allauth's, an authenticator shows the
# secret of somebody's second factor, and an address that is typed there is confirmed without a letter.
# (This app comes after all of them, which have registered their models by now.)
for model in list(admin.site._registry):
    if model._meta.app_label != "stores":
        admin.site.unregister(model)
