"""Every choice an installation has, and the only file that reads the environment.

Without a single variable set this is a safe site for one machine: SQLite and all other data below var/,
no Redis, DEBUG off. What each variable means stands beside it.
"""

import os
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from workflowsite import database, mail, secret_key


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def number(name: str, default: int) -> int:
    try:
        return int(text(name, str(default)))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text(name)!r}.") from None


def flag(name: str) -> bool:
    return text(name).lower() in {"1", "true", "yes", "on"}


def words(name: str) -> list[str]:
    return [word.strip() for word in text(name).split(",") if word.strip()]


def as_host(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


# Where it runs
BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(text("DATA_DIR", str(BASE_DIR / "var"))).expanduser().resolve()
HOST = text("HOST", "127.0.0.1")
PORT = number("PORT", 8000)
PUBLIC_URL = text("PUBLIC_URL").rstrip(
    "/"
)  # how people reach it, where that is not HOST and PORT: https://flow.example.org
IS_HTTPS = PUBLIC_URL.startswith("https://")
TRUSTED_PROXIES = words("TRUSTED_PROXIES")  # addresses whose X-Forwarded-For is believed
DEBUG = flag("DEBUG")
SECRET_KEY = text("SECRET_KEY") or secret_key.kept_in(DATA_DIR / "secret_key")
# Taken out of the environment, so that no child process gets them. Empty: the keys in DATA_DIR/master.key.
MASTER_KEYS = os.environ.pop("MASTER_KEYS", "").strip()
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", as_host(HOST), *words("ALLOWED_HOSTS")]
if PUBLIC_URL:
    ALLOWED_HOSTS.append(as_host(urlsplit(PUBLIC_URL).hostname or ""))

# What it is made of
INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "csp",
    "workflowsite",
    "workflowsite.accounts",
    "workflows",
    "executions",
    *words("EXTRA_APPS"),  # a team's own Django apps, step kinds included
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",  # this early, so that static files and refusals carry the policy too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Pages hold no secret that stays the same: CSRF tokens are masked anew in each, and each is padded by a random
    # length. With cookies that another site's requests do not carry (Lax) that leaves BREACH nothing to measure.
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "workflowsite.doors.SignedInOnly",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "workflowsite.refusals.WrongMethod",
]
ROOT_URLCONF = "workflowsite.urls"
ASGI_APPLICATION = "workflowsite.asgi.application"
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
                "workflowsite.preferences.preferences",
                "executions.views.waiting.waiting",
            ],
        },
    },
]

# What it keeps
DATABASES = {"default": database.connection_settings(text("DATABASE_URL"), DATA_DIR / "db.sqlite3")}
# Other databases that `sql` steps may ask, by their names; they write to those of SQL_WRITABLE alone. Our own, which
# has accounts and sessions, is not among them unless SQL_DEFAULT says so.
DATABASES |= database.opened_to_workflows(text("SQL_DATABASES"))
SQL_DATABASES = [name for name in DATABASES if name != "default" or flag("SQL_DEFAULT")]
SQL_WRITABLE = [name for name in words("SQL_WRITABLE") if name in SQL_DATABASES]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = text("REDIS_URL")  # carries the bells between processes; without it they ring inside this one
GROUP_SECONDS = 60  # who listens joins anew every few seconds (live.JOIN_S), and who was killed is soon forgotten
if REDIS_URL:
    # The layer itself blocks in Redis for five seconds, which redis-py must outwait (its own limit, from version 8 on,
    # is those five); but a Redis whose machine has vanished must not be waited for for ever.
    hosts = [{"address": REDIS_URL, "socket_timeout": 15, "socket_connect_timeout": 5, "socket_keepalive": True}]
    layer = {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": hosts, "group_expiry": GROUP_SECONDS},
    }
else:
    layer = {"BACKEND": "channels.layers.InMemoryChannelLayer", "CONFIG": {"group_expiry": GROUP_SECONDS}}
CHANNEL_LAYERS = {"default": layer}

# The engine
ENGINE = {
    "LIMIT": number("ENGINE_LIMIT", 1000),  # executions at once in one process
    "LEASE_SECONDS": 30,
    "RENEW_SECONDS": 10,
    "SWEEP_SECONDS": 5,
    "THREADS": 8,  # for synchronous steps
    "GRACE_SECONDS": 5,  # what running steps get when the server stops
    "INPUT_BYTES": 256 * 1024,  # of what is typed into a form
    "INLINE_BYTES": 256 * 1024,  # an object's larger values become files beside the database
    "DATA_BYTES": number("ENGINE_DATA_BYTES", 16 * 1024 * 1024),  # of one output or input, as JSON
    "LOG_BYTES": number("ENGINE_LOG_BYTES", 10 * 1024 * 1024),  # of the lines that one execution writes
    "FAMILY": number("ENGINE_FAMILY", 1_000),  # children below one execution that live at once, all levels together
    "STEPS": number("ENGINE_STEPS", 10_000),  # that one execution starts, attempts included
}

# What steps may reach by HTTP; docs/http.md says more
HTTP_ALLOW = words("HTTP_ALLOW")  # addresses inside that they may call: 10.1.0.0/16:443, 127.0.0.1:11434, [fd00::]/8:*
HTTP_CA_FILE = text("HTTP_CA_FILE")  # certificates of authorities of one's own, beside the public ones
HTTP_BODY_BYTES = number("HTTP_BODY_BYTES", 10 * 1024 * 1024)  # of one answer, unpacked
HTTP_CONNECT_SECONDS = number("HTTP_CONNECT_SECONDS", 10)  # to find a host and connect to it
HTTP_SECONDS = number("HTTP_SECONDS", 300)  # the longest that a request may take in all

FILES = {
    "FILE_BYTES": number("FILE_BYTES", 16 * 1024 * 1024),  # of one file of a workflow
    "WORKFLOW_BYTES": number("FILES_BYTES", 1024 * 1024 * 1024),  # of all files of one workflow
    "MOST": 10_000,  # of one workflow
}

# Code steps run only where the system can keep them away from files, which workflows/jail tries; or with this.
ALLOW_WEAK_SANDBOX = flag("ALLOW_WEAK_SANDBOX")

RETENTION_DAYS = number("RETENTION_DAYS", 30)  # an execution is kept so long after its end; 0: for ever

# Language models, for ai steps that name no secret: these keys go to the provider's own address and nowhere else
AI_KEYS = {"openai": text("OPENAI_API_KEY"), "anthropic": text("ANTHROPIC_API_KEY")}

# Words and times
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = text("TIME_ZONE", "UTC")  # what a workflow's naive dates mean; rows are UTC always

# Static files: hashed and compressed once by `prepare`, served by WhiteNoise
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # These two are never served by URL: the first has large values of executions, the second the files of workflows.
    "blobs": {"BACKEND": "workflowsite.files.DataFolderFiles", "OPTIONS": {"folder": "blobs"}},
    "files": {"BACKEND": "workflowsite.files.DataFolderFiles", "OPTIONS": {"folder": "files"}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_ALLOW_ALL_ORIGINS = False
MEDIA_ROOT = DATA_DIR / "media"

# Mail, of `email` steps: printed unless EMAIL_URL says where it goes
vars().update(mail.settings_of(text("EMAIL_URL", "console:")))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = text("EMAIL_FROM", "stepstream@localhost")
EMAIL_TIMEOUT = 10  # seconds that the server may take for one answer
EMAIL_RECIPIENTS = number("EMAIL_RECIPIENTS", 50)  # of one message

# Who may come in
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = LOGIN_URL
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
PASSWORD_RESET_TIMEOUT = 24 * 60 * 60  # the first start's one-time link
FIRST_OWNER_USERNAME = text("DJANGO_SUPERUSER_USERNAME")  # an account made at the first start, in place of that link
FIRST_OWNER_PASSWORD = os.environ.get("DJANGO_SUPERUSER_PASSWORD", "")
FIRST_OWNER_EMAIL = text("DJANGO_SUPERUSER_EMAIL")

# What a browser is told. Cookies are not kept apart by port: names of our own leave other local sites signed in.
COOKIE_PREFIX = "__Host-" if IS_HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}stepstream_session"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}stepstream_csrf"
CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if IS_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "connect-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    },
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# What it says while it runs: one line an event, on stderr
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"key_value": {"()": "workflowsite.logs.KeyValueFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "key_value"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": [], "level": "WARNING", "propagate": True},
        "django.request": {"level": "ERROR"},  # a 404 is the visitor's affair
        "workflowsite": {"level": "INFO"},
        "workflows": {"level": "INFO"},
        "executions": {"level": "INFO"},
        "psycopg.pool": {"level": "ERROR"},  # a line at each try of a connection: the engine says it once
        # Whole URLs and headers stand in what these would say, whatever level somebody gives the rest.
        **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "httpx2", "httpcore2")},
    },
}
