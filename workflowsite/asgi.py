"""The switchboard: where each kind of connection goes."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workflowsite.settings")
pages = get_asgi_application()  # loads the apps, so it stands before anything that imports a model

from executions.consumers import ExecutionWorker  # noqa: E402
from executions.urls import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
        "channel": ChannelNameRouter({"engine": ExecutionWorker.as_asgi()}),
    }
)
