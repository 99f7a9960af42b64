"""scim2-server with the storage that comes with it, in memory; for uvicorn."""
import os

from scim2_models import UnauthorizedException
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage
from scim2_server.utils import load_default_provider

AUTHORIZATION = f"Bearer {os.environ['TOKEN']}"


class Application(ASGIApplication):
    def check_auth(self, request):
        if request.header("Authorization") != AUTHORIZATION:
            raise UnauthorizedException


application = Application(AsyncInMemoryStorage(), load_default_provider())


async def app(scope, receive, send):
    """Serves it below /scim."""
    await application({**scope, "root_path": "/scim"}, receive, send)
