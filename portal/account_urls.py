"""Everything about one's own account. allauth's routes are account_login, account_signup, mfa_index, ..."""

from django.urls import include, path

urlpatterns = [
    path("", include("allauth.urls")),
]
