"""Everything about one's own account. allauth's routes are account_login, account_signup, mfa_index, ..."""

from django.urls import include, path

from portal import account_pages, invitations

urlpatterns = [
    path("", account_pages.profile, name="account"),
    path("notifications/", account_pages.notifications, name="account-notifications"),
    path("close/", account_pages.close, name="account-close"),
    path("sessions/<int:number>/end/", account_pages.end_session, name="account-session-end"),
    path("elsewhere/", account_pages.prove_elsewhere, name="account-prove-elsewhere"),
    path("password/set/", account_pages.set_password, name="account_set_password"),
    path("invitation/<str:token>/", invitations.accept, name="account-invitation"),
    path("", include("allauth.urls")),
]
