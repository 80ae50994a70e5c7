"""The REST API as one FastAPI application: routers under /api/v1, the WebSocket, health and metrics."""

from fastapi import APIRouter, FastAPI

from vur import __version__
from vur.serving.handlers import add_handlers
from vur.serving.middleware.guard import API
from vur.serving.openapi import describe
from vur.serving.process.startup import lifespan
from vur.serving.routes import (
    auth,
    dashboard,
    datasets,
    factory,
    forecasts,
    health,
    live,
    machines,
    models,
    monitoring,
    pipelines,
    predictions,
    published,
    switches,
    tables,
    training,
    users,
    webhooks,
    wizard,
)

# Routes are tried in this order: the busiest first.
ROUTERS = (
    predictions.router,
    predictions.model_router,
    forecasts.router,
    auth.router,
    users.router,
    dashboard.router,
    datasets.router,
    wizard.router,
    pipelines.router,
    models.router,
    predictions.champion_router,
    training.router,
    tables.router,
    monitoring.router,
    webhooks.router,
    machines.router,
    switches.router,
)


def create_app() -> FastAPI:
    """Create the application. Authentication wraps it from outside (`vur.serving.middleware.guard`)."""
    app = FastAPI(
        title="VUR",
        version=__version__,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    add_handlers(app)
    api = APIRouter(prefix=API)
    for router in ROUTERS:
        api.include_router(router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(live.router)
    app.include_router(published.router)
    app.include_router(factory.router)
    describe(app)
    return app
