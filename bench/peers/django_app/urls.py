"""The routes, the check of the bearer token, and what gunicorn serves."""
import hmac
import os

from django.core.wsgi import get_wsgi_application
from django.urls import include, path

AUTHORIZATION = f"Bearer {os.environ['TOKEN']}"


class Client:
    """Who sent a request with the token."""

    is_anonymous = False
    is_authenticated = True


class BearerToken:
    """Authenticates requests, which django-scim2 leaves to others."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if hmac.compare_digest(request.headers.get("Authorization", ""), AUTHORIZATION):
            request.user = Client()
        return self.get_response(request)


urlpatterns = [path("scim/v2/", include("django_scim.urls"))]
application = get_wsgi_application()
