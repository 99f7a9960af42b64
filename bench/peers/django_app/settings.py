"""A project with django-scim2 alone: no sessions, no templates, no debugging."""
import os

SECRET_KEY = os.environ["TOKEN"]
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "django_app.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_scim", "django_app"]
MIDDLEWARE = ["django_app.urls.BearerToken"]
AUTH_USER_MODEL = "django_app.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
LOGGING_CONFIG = None
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "127.0.0.1",
        "PORT": os.environ["DATABASE_PORT"],
        "NAME": "postgres",
        "USER": "postgres",
        # Connections are kept.
        "CONN_MAX_AGE": None,
    }
}
SCIM_SERVICE_PROVIDER = {
    "NETLOC": os.environ["ADDRESS"],
    "AUTHENTICATION_SCHEMES": [{"type": "oauthbearertoken", "name": "Token", "description": "A bearer token"}],
    "GROUP_MODEL": "django_app.models.Group",
    "GET_QUERYSET_POST_PROCESSOR_GETTER": "django_app.models.queryset_post_processor_getter",
}
