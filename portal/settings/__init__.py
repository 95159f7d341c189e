"""All settings, from the environment: here those of the web, in provisioning.py those of stores.

Development needs no environment at all. Production (``PRODUCTION=true``) refuses to start
without SECRET_KEY, ALLOWED_HOSTS and STOREYARD_CLUSTER, because each of them would otherwise
get a default that is convenient and wrong.
"""

import os
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import validate

from portal.settings.environment import (
    BASE_DIR,
    PRODUCTION,
    RUN_DIR,
    env,
    required_in_production,
)
from portal.settings.provisioning import *  # noqa: F403

DEBUG = env.bool("DEBUG", not PRODUCTION)


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


required_in_production(
    "SECRET_KEY",
    "Sessions and queued tasks are signed with it: set it to a long random text, "
    "the same for the web and worker processes.",
)
required_in_production(
    "ALLOWED_HOSTS", "Set it to the host names of the portal, separated by commas."
)

SECRET_KEY = env.str("SECRET_KEY", "development-only-key-never-used-in-production")
# Earlier ones: what was signed or encrypted with them can still be read.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", [])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "django_q",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "stores",
    "provisioning",
    "portal",
]

MIDDLEWARE = [
    # Before those that answer by themselves: files, and the way from http to https.
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.middleware.Compression",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "portal.middleware.request_id",
    # Before whatever asks the database.
    "portal.middleware.maintenance",
    "portal.staff.admin_host",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.sessions.limits",
    "portal.personal.choices",
    "django_htmx.middleware.HtmxMiddleware",
    "portal.staff.second_factor",
    "allauth.account.middleware.AccountMiddleware",
    "portal.denials.watch",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.platform",
            ]
        },
    }
]

DATABASES = {
    "default": env.dj_db_url("DATABASE_URL", f"sqlite:///{RUN_DIR}/storeyard.sqlite3"),
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    RUN_DIR.mkdir(parents=True, exist_ok=True)
    # IMMEDIATE, because SQLite does not wait when a reader becomes a writer: with the default
    # (DEFERRED) two creates at once end in "database is locked" whatever the timeout.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
    }
    # A file for tests too: a database in memory knows neither WAL nor other processes.
    DATABASES["default"]["TEST"] = {"NAME": RUN_DIR / f"test-{os.getpid()}.sqlite3"}
# Opening a connection costs more than most of our queries, on SQLite too.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "stores.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
    )
]
# One way in, for the admin too; the rights are still those of Django's own backend.
AUTHENTICATION_BACKENDS = ["portal.accounts.Backend"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "store-list"
LOGOUT_REDIRECT_URL = "account_login"

# --- Accounts ----------------------------------------------------------------------------

# Who may make an account: anybody (open), whoever was invited (invitation), nobody (closed).
SIGNUP = env.str(
    "SIGNUP",
    "closed" if PRODUCTION else "open",
    validate=validate.OneOf(["open", "invitation", "closed"]),
)
ACCOUNT_ADAPTER = "portal.accounts.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "portal.account_forms.LoginForm",
    "signup": "portal.account_forms.SignupForm",
}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
# How long a session lasts is a rule of the server's (SESSION_ABSOLUTE_SECONDS), not a tick box.
ACCOUNT_SESSION_REMEMBER = True
# Whoever guesses wrong so often waits; others are not held up, nor the same person elsewhere.
LOGIN_ATTEMPTS, LOGIN_LOCK_SECONDS = 5, env.int("LOGIN_LOCK_SECONDS", 300)
ACCOUNT_RATE_LIMITS = {
    "login": "60/m/ip",
    "login_failed": f"30/m/ip,{LOGIN_ATTEMPTS}/{LOGIN_LOCK_SECONDS}s/key",
}
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = env.int("REAUTHENTICATION_SECONDS", 300)
USERSESSIONS_ADAPTER = "portal.accounts.SessionsAdapter"
MFA_FORMS = {"add_webauthn": "portal.account_forms.AddKeyForm"}
MFA_ADAPTER = "portal.accounts.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
# An address that was never confirmed gets nobody in, so it cannot get anybody a second factor.
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_ISSUER = "Storeyard"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION
# The support team sees no store, and no admin, without one.
STAFF_NEEDS_SECOND_FACTOR = env.bool("STAFF_NEEDS_SECOND_FACTOR", True)
# Where the admin is, if not on the portal's own host: there it does not exist then.
ADMIN_HOST = env.str("ADMIN_HOST", "")
if ADMIN_HOST:
    ALLOWED_HOSTS.append(ADMIN_HOST)

# One login at a company's own identity provider (OpenID Connect), if there is one.
OIDC_ISSUER = env.str("OIDC_ISSUER", "")
# Who gets an account there at the first login. "open": everybody whom the provider lets in.
OIDC_SIGNUP = env.str(
    "OIDC_SIGNUP", SIGNUP, validate=validate.OneOf(["open", "invitation", "closed"])
)
SOCIALACCOUNT_ADAPTER = "portal.identity_providers.Adapter"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
if OIDC_ISSUER:
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "oidc",
                "name": env.str("OIDC_NAME", "OpenID Connect"),
                "client_id": env.str("OIDC_CLIENT_ID"),
                "secret": env.str("OIDC_CLIENT_SECRET"),
                "settings": {"server_url": OIDC_ISSUER},
            }
        ],
    }
# How many proxies of ours stand before us, each adding the address it saw to X-Forwarded-For.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", 0)

CACHES: dict[str, Any] = {
    # Shared by all processes, as the limits need it; its table comes with migrate.
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "storeyard_cache",
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    },
    # What all pages of one process tell alike, for a moment (portal/shared.py).
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "process"},
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = not PRODUCTION
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Strict from the start: nothing inline, nothing from elsewhere. Bootstrap's own icons are
# data: images inside its style sheet.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        # Browsers hold what a form's answer redirects to against this, too.
        "form-action": ["'self'", *([origin_of(OIDC_ISSUER)] if OIDC_ISSUER else [])],
    }
}
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "portal.errors.csrf_failure"
SECURE_REFERRER_POLICY = "same-origin"
# How long one stays logged in: at most, and without doing anything.
SESSION_ABSOLUTE_SECONDS = env.int("SESSION_ABSOLUTE_SECONDS", 7 * 86400)
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", 8 * 3600)
SESSION_COOKIE_AGE = SESSION_ABSOLUTE_SECONDS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "portal.cookies.MessageStorage"
# A browser takes a cookie of such a name only from this host itself, over TLS, for all its paths:
# no other host, a merchant's shop say, can give it one.
COOKIE_PREFIX = "__Host-" if PRODUCTION else ""
SESSION_COOKIE_NAME = COOKIE_PREFIX + "sessionid"
CSRF_COOKIE_NAME = COOKIE_PREFIX + "csrftoken"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", PRODUCTION)
# A probe inside the cluster speaks plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", 31536000 if PRODUCTION else 0)
# Stores are on another domain, so that nothing below the portal's own needs plain HTTP. Preloading
# is what the domain's owner asks browsers' makers for; this only permits it.
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", PRODUCTION)
SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_PRELOAD", PRODUCTION)
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
if env.bool("BEHIND_TLS_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOG_FORMAT = env.str(
    "LOG_FORMAT", "json" if PRODUCTION else "plain", validate=validate.OneOf(["plain", "json"])
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": "stores.logbook.PlainLines"},
        "json": {"()": "stores.logbook.JsonLines"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    # django-q logs each task twice; a pass logs what it did itself.
    # Django's own handler writes what it is given, and would write it a second time.
    "loggers": {
        "django-q": {"level": env.str("QUEUE_LOG_LEVEL", "WARNING")},
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}

# --- Letters -----------------------------------------------------------------------------

# How letters are sent, e.g. submission://user:password@host:587; by default they are printed.
MAIL = env.dj_email_url("EMAIL_URL", "console://")
if "EMAIL_BACKEND" not in MAIL:
    raise ImproperlyConfigured("EMAIL_URL begins with a scheme that is not known: try smtp://")
vars().update(MAIL)
# A mail server that hangs keeps nobody longer.
EMAIL_TIMEOUT = MAIL["EMAIL_TIMEOUT"] or env.int("EMAIL_TIMEOUT", 10)
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Storeyard <storeyard@localhost>")
# Where the links in letters lead to.
PORTAL_URL = env.str("PORTAL_URL", "http://localhost:8000").rstrip("/")
# A shop that has been unwell, or well again, for so long is worth a letter.
MAIL_DEGRADED_SECONDS = env.float("MAIL_DEGRADED_SECONDS", 600)
MAIL_RECOVERED_SECONDS = env.float("MAIL_RECOVERED_SECONDS", 60)

# --- Maintenance -------------------------------------------------------------------------
# Every page answers 503 while this is set, or while the file is there: what it says is shown.

MAINTENANCE = env.bool("MAINTENANCE", False)
MAINTENANCE_FILE = env.path("MAINTENANCE_FILE", RUN_DIR / "maintenance")
