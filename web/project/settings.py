"""Django's settings. The table of environment variables is in docs/app.md; `project.environment` checks them."""

from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF

from project.environment import MEGABYTE, Environment, MalformedSetting

WEB = Path(__file__).parents[1]

try:
    _environment = Environment.read()
    SECRET_KEY = _environment.signing_key
    PSEUDONYM_KEY = _environment.pseudonym_key
except MalformedSetting as error:
    raise SystemExit("\n".join(f"error: {line}" for line in str(error).splitlines())) from None

DEBUG = _environment.debug
DATA_FOLDER = _environment.data
DATABASES = {"default": _environment.database}
ALLOWED_HOSTS = _environment.allowed_hosts
BEHIND_TLS = _environment.behind_tls
ADMIN_PASSWORD = _environment.admin_password
MODELS = _environment.models
RETENTION_DAYS = _environment.retention_days
UPLOADS_PER_MINUTE = _environment.uploads_per_minute
PICTURES_PER_MINUTE = _environment.pictures_per_minute
DRAWINGS_PER_MINUTE = _environment.drawings_per_minute
MAX_UPLOAD_MB = _environment.max_upload_mb
DICOMWEB_URL = _environment.dicomweb_url
DICOMWEB_USER = _environment.dicomweb_user
DICOMWEB_PASSWORD = _environment.dicomweb_password
DICOMWEB_TOKEN = _environment.dicomweb_token
DICOMWEB_CA_FILE = _environment.dicomweb_ca_file
SERVER_URL = _environment.url
SERVER_KEY = _environment.key
SERVER_KEY_FILE = _environment.key_file

CARDS_FOLDER = WEB.parent / "weights"
"""Model cards, for the operating points beside an answer; an answer whose card is not here goes without."""

MAX_UPLOAD_BYTES = MAX_UPLOAD_MB * MEGABYTE
FORM_BYTES = MEGABYTE
"""Bytes that a request may hold around its film."""

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "ninja",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "project",
    "accounts",
    "films",
    "uploads",
    "reviews",
]

MIDDLEWARE = [
    "project.requests.number",
    "project.pages.answer_probes",
    "django.middleware.security.SecurityMiddleware",
    "project.middleware.Compress",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.languages.BrowserLanguage",
    "project.middleware.keep_private",
    "project.middleware.limit_body",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "project.languages.account_language",
    "project.middleware.note_refusals",
    "project.middleware.explain_method",
    "django.contrib.messages.middleware.MessageMiddleware",
    "project.middleware.LogInRequired",
    "project.middleware.StepsFirst",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [WEB / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "project.context.facts",
            ],
        },
    },
]

# -- Accounts
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "uploads:upload"
LOGOUT_REDIRECT_URL = "accounts:login"
SECOND_FACTOR_REQUIRED = _environment.second_factor == "required"
OTP_TOTP_ISSUER = "OsteoLens"
OIDC_ISSUER = _environment.oidc_issuer
OIDC_CLIENT_ID = _environment.oidc_client_id
OIDC_CLIENT_SECRET = _environment.oidc_client_secret
OIDC_NAME = _environment.oidc_name
OIDC_NEW_ACCOUNTS = _environment.oidc_new_accounts
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_AGE = timedelta(days=7) // timedelta(seconds=1)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "project.errors.csrf_failure"
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_CALLABLE = "accounts.lockout.answer"
AXES_CLIENT_IP_CALLABLE = "accounts.audit.address"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code"]
AXES_VERBOSE = False
AXES_DISABLE_ACCESS_LOG = True  # the audit log has it

# -- Transport
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_HSTS_SECONDS = timedelta(days=365) // timedelta(seconds=1) if BEHIND_TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "blob:", "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
FILE_UPLOAD_TEMP_DIR = DATA_FOLDER / "under_way"
FILE_UPLOAD_TEMP_DIR.mkdir(mode=0o700, exist_ok=True)
DATA_UPLOAD_MAX_MEMORY_SIZE = FORM_BYTES
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 1

# -- Static files: served as they lie in the source folders, so that nothing has to be collected or built
STATIC_URL = "/static/"
STATICFILES_DIRS = [WEB / "static"] if (WEB / "static").is_dir() else []
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

# -- Languages
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [WEB / "locale"]
FORMAT_MODULE_PATH = ["project.formats"]
LANGUAGE_COOKIE_AGE = timedelta(days=365) // timedelta(seconds=1)
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = BEHIND_TLS

# -- The rest
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "osteolens.logs.JsonLines"},
    },
    "filters": {"request": {"()": "project.requests.InRequest"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": _environment.log_format, "filters": ["request"]}
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "osteolens.requests": {"level": "INFO" if _environment.log_format == "json" else "WARNING"},
        # A refused request is the client's matter and would fill the log.
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "CRITICAL"},
        "axes": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        "waitress.queue": {"level": "ERROR"},  # that requests wait for a thread is no event
    },
}
