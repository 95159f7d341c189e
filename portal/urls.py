"""Every address of the portal. One that names a store takes it as ``store_id``."""

from allauth.account import views as account_views
from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from portal import errors, history_pages, logs, platform, reveal, store_page, teams, views

HOME = require_safe(RedirectView.as_view(pattern_name="store-list"))
# Before the admin's addresses are made of it, or it is ignored: one way in for everybody.
admin.site.login = secure_admin_login(admin.site.login)
admin.site.logout = account_views.logout
admin.site.password_change = RedirectView.as_view(pattern_name="account_change_password")

urlpatterns = [
    path("", HOME, name="home"),
    path("account/", include("portal.account_urls")),
    path("healthz", views.healthz, name="healthz"),
    path("status/", platform.platform_status, name="platform-status"),
    path("status/news/", platform.platform_news, name="platform-news"),
    path("stores/", views.store_list, name="store-list"),
    path("stores/rows/", views.store_rows, name="store-rows"),
    path("stores/new/", views.store_create, name="store-create"),
    path("stores/new/address/", views.address_check, name="address-check"),
    path("stores/<uuid:store_id>/", store_page.store_detail, name="store-detail"),
    path("stores/<uuid:store_id>/status/", store_page.store_status, name="store-status"),
    path("stores/<uuid:store_id>/history/", history_pages.store_history, name="store-history"),
    path(
        "stores/<uuid:store_id>/history.csv",
        history_pages.store_history_csv,
        name="store-history-csv",
    ),
    path("stores/<uuid:store_id>/reveal/", reveal.store_reveal, name="store-reveal"),
    path("stores/<uuid:store_id>/logs/", logs.store_logs, name="store-logs"),
    path("stores/<uuid:store_id>/logs/tail/", logs.store_logs_tail, name="store-logs-tail"),
    path("stores/<uuid:store_id>/logs/events/", logs.store_events, name="store-events"),
    path(
        "stores/<uuid:store_id>/logs/download/",
        logs.store_logs_download,
        name="store-logs-download",
    ),
    path("stores/<uuid:store_id>/retry/", store_page.store_retry, name="store-retry"),
    path("stores/<uuid:store_id>/refresh/", store_page.store_refresh, name="store-refresh"),
    path("stores/<uuid:store_id>/delete/", store_page.store_delete, name="store-delete"),
    path(
        "stores/<uuid:store_id>/delete/now/", store_page.store_delete_now, name="store-delete-now"
    ),
    path("stores/<uuid:store_id>/undo/", store_page.store_undo, name="store-undo"),
    path("stores/<uuid:store_id>/people/", teams.store_people, name="store-people"),
    path("stores/<uuid:store_id>/people/leave/", teams.share_leave, name="share-leave"),
    path(
        "stores/<uuid:store_id>/people/<uuid:share_id>/role/", teams.share_role, name="share-role"
    ),
    path(
        "stores/<uuid:store_id>/people/<uuid:share_id>/remove/",
        teams.share_remove,
        name="share-remove",
    ),
    path("stores/<uuid:store_id>/handover/", teams.handover_offer, name="handover-offer"),
    path(
        "stores/<uuid:store_id>/handover/withdraw/",
        teams.handover_withdraw,
        name="handover-withdraw",
    ),
    path("stores/<uuid:store_id>/consent/", teams.consent_give, name="consent-give"),
    path("stores/<uuid:store_id>/consent/end/", teams.consent_end, name="consent-end"),
    path("stores/<uuid:store_id>/consent/decline/", teams.consent_decline, name="consent-decline"),
    path("stores/<uuid:store_id>/consent/ask/", teams.consent_ask, name="consent-ask"),
    path("invitations/", teams.invitations, name="invitations"),
    path(
        "invitations/<uuid:invitation_id>/accept/",
        teams.invitation_accept,
        name="invitation-accept",
    ),
    path(
        "invitations/<uuid:invitation_id>/decline/",
        teams.invitation_decline,
        name="invitation-decline",
    ),
    path("handovers/<uuid:handover_id>/accept/", teams.handover_accept, name="handover-accept"),
    path("handovers/<uuid:handover_id>/decline/", teams.handover_decline, name="handover-decline"),
    path("admin/", admin.site.urls),
]

handler400 = errors.bad_request
handler429 = errors.too_many_requests
handler500 = errors.server_error
