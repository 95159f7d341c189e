"""Who may do what at which address: the whole table, and nothing of it is derived from the code.

A route that is not in here fails test_matrix.py: whoever adds one decides who may use it.
"""

from __future__ import annotations

from dataclasses import dataclass

# People as they stand to one store. Stranger: another owner. Support: a member of the team, without
# the owner's consent; consent: with it.
PEOPLE = "anonymous stranger viewer manager owner support consent".split()
SEE = "viewer manager owner consent"


@dataclass(frozen=True)
class Row:
    """Who is let in by each method; an empty text: nobody, since there is no such method (405).

    Everybody else who may see the store is told no (403), to strangers it is missing (404), and who is
    not logged in is asked to. ``others``: where those who may see it are answered otherwise.
    """

    get: str = ""
    post: str = ""
    others: int = 403


# Those that name a store.
STORE = {
    "store-detail": Row(get=SEE),
    "store-status": Row(get=SEE),
    "store-history": Row(get=SEE),
    "store-history-csv": Row(get=SEE),
    "store-retry": Row(post="manager owner consent"),
    "store-refresh": Row(post="manager owner consent"),
    "store-delete": Row(get="manager owner", post="manager owner"),
    "store-undo": Row(post="manager owner"),
    "store-delete-now": Row(post="owner"),
    "store-people": Row(get=SEE, post="owner"),
    "share-role": Row(post="owner"),
    "share-remove": Row(post="owner"),
    # Whoever has no share is told so on the page that follows.
    "share-leave": Row(post=SEE),
    "handover-offer": Row(post="owner"),
    "handover-withdraw": Row(post="owner"),
    "consent-give": Row(post="owner"),
    "consent-end": Row(post="owner"),
    "consent-decline": Row(post="owner"),
    # The page without a name on it: the team's alone.
    "consent-ask": Row(get="support consent", post="support consent", others=404),
    "store-reveal": Row(get="manager owner consent", post="manager owner consent"),
    "store-logs": Row(get=SEE),
    "store-logs-tail": Row(get=SEE),
    "store-logs-download": Row(get=SEE),
    "store-events": Row(get=SEE),
}

# Invitations and offers, to whoever has the address: here nobody of the above, so to all of them
# they are missing. portal/tests/test_teams.py accepts them.
NOBODYS = Row(post="", others=404)
INVITATIONS = {
    "invitation-accept": NOBODYS,
    "invitation-decline": NOBODYS,
    "handover-accept": NOBODYS,
    "handover-decline": NOBODYS,
}

EVERYBODY, SIGNED_IN = "everybody", "signed in"
# Those that name nothing: who gets an answer, and by which methods.
PLAIN = {
    "home": (EVERYBODY, "get"),
    "healthz": (EVERYBODY, "get"),
    "platform-status": (EVERYBODY, "get"),
    "platform-news": (EVERYBODY, "get"),
    "store-list": (SIGNED_IN, "get"),
    "store-rows": (SIGNED_IN, "get"),
    "store-create": (SIGNED_IN, "get post"),
    "address-check": (SIGNED_IN, "get"),
    "invitations": (SIGNED_IN, "get"),
}

# django-allauth's, and ours beside them, below account/. What each says, its own tests say; here: which
# of them answer somebody who has not logged in.
ACCOUNT = {
    EVERYBODY: """
        account_login account_logout account_signup account_inactive account_confirm_email
        account_email_verification_sent account_reset_password account_reset_password_done
        account_reset_password_from_key account_reset_password_from_key_done
        account_confirm_login_code mfa_authenticate mfa_login_webauthn socialaccount_login_cancelled
        socialaccount_login_error socialaccount_signup openid_connect_login openid_connect_callback
        account/social/login/cancelled/ account/social/login/error/ account/social/signup/
        account-invitation
    """,
    SIGNED_IN: """
        account_reauthenticate account_email account_change_password account_set_password
        mfa_index mfa_reauthenticate mfa_activate_totp mfa_deactivate_totp mfa_view_recovery_codes
        mfa_generate_recovery_codes mfa_download_recovery_codes mfa_list_webauthn mfa_add_webauthn
        mfa_reauthenticate_webauthn mfa_remove_webauthn mfa_edit_webauthn usersessions_list
        socialaccount_connections account/social/connections/
        account account-notifications account-close account-session-end account-prove-elsewhere
    """,
}

# In the admin: what the group Support opens of each model; nobody outside the team opens anything.
ADMIN_MODELS = {
    "stores_store": "changelist change history",
    "stores_operation": "changelist change history",
    "stores_auditevent": "changelist change history",
    "stores_heartbeat": "changelist change history",
    "stores_snapshot": "changelist change history",
    "stores_user": "changelist add change history",
    "stores_pause": "",
}
ADMIN_PAGES = {
    "index": True,
    "app_list": True,
    "login": True,
    "logout": True,
    "password_change": True,
    "password_change_done": True,
    "jsi18n": True,
    # Neither has anything to answer here.
    "autocomplete": False,
    "view_on_site": False,
    "auth_user_password_change": True,
}
