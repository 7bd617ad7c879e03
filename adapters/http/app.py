"""The REST API on one page: its routes, and what stands before and behind each of them."""

from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State

from adapters.http import (
    accounts,
    analytics,
    audit,
    balance,
    changes,
    contract,
    docs,
    events,
    following,
    health,
    history,
    images,
    items,
    listing,
    mail,
    metrics,
    notices,
    orders,
    players,
    reports,
    search,
    tasks,
    uploads,
    videos,
)
from adapters.http.answered import answered
from adapters.http.auth import Guard
from adapters.http.body import MOST_BODY
from adapters.http.desk import desk_for
from adapters.http.methods import options
from adapters.http.problems import tell
from adapters.http.query import require_known
from adapters.http.service import Service
from adapters.http.short import Admit, short

ROUTES = (
    health.live,
    health.ready,
    metrics.see_metrics,
    accounts.register,
    accounts.list_accounts,
    accounts.see,
    items.create_item,
    items.list_items,
    items.see_item,
    items.change_item,
    items.delete_item,
    orders.create_order,
    orders.list_orders,
    orders.see_order,
    orders.confirm_order,
    tasks.create,
    tasks.create_many,
    tasks.see,
    listing.list_tasks,
    history.history,
    following.follow_task,
    search.find,
    search.rebuild_search,
    changes.cancel,
    changes.retry,
    events.list_events,
    events.stream_events,
    audit.list_audit,
    analytics.see_analytics,
    balance.balance,
    contract.list_schemas,
    contract.see_schema,
    contract.see_asyncapi,
    contract.see_asyncapi_page,
    docs.see_openapi,
    docs.see_docs,
)
MAIL = (mail.list_mail, mail.see_mail)
UPLOADS = (
    uploads.begin_upload,
    uploads.list_uploads,
    uploads.see_upload,
    uploads.ask_upload,
    uploads.send_upload,
    uploads.end_upload,
    uploads.see_upload_content,
    images.create_image,
    images.create_images,
    images.list_images,
    images.see_image,
    images.see_batch,
    images.see_image_file,
    images.delete_image,
    reports.create_report,
    reports.list_reports,
    reports.see_report,
    reports.see_report_content,
    reports.delete_report,
    videos.create_video,
    videos.list_videos,
    videos.see_video,
    videos.see_video_status,
    videos.follow_video,
    videos.delete_video,
    players.see_video_file,
    players.play_video_file,
)
NOTICES = (notices.list_notices,)


def create_app(service: Service) -> Litestar:
    """The ASGI application. Its shutdown ends with `stop`; the server calls that first, or streams hold it up."""
    known = {UPLOADS: service.intake, MAIL: service.mail, NOTICES: service.notices}
    routes = [*ROUTES, *(route for some, there in known.items() if there for route in some)]
    told, admit, problem = metrics.Metrics(service), _admitting(Guard(service.find_key)), tell(service.problems)
    app = Litestar(
        route_handlers=[options(routes), *routes],
        state=State(
            {
                "desk": desk_for(service),
                docs.MANUAL: docs.manual(routes, service.offered),
                metrics.METRICS: told,
            }
        ),
        before_request=admit,
        exception_handlers={Exception: problem},
        request_max_body_size=MOST_BODY,
        on_shutdown=[stop],
        logging_config=None,
        openapi_config=None,
    )
    app.asgi_handler = answered(short(app, admit, problem), told.count)
    return app


def _admitting(guard: Guard) -> Admit:
    """What is asked of every request before its body is read: who calls, and whether the query can be meant."""

    async def admit(request: Request[Any, Any, Any]) -> None:
        await guard(request)
        require_known(request)

    return admit


def stop(app: Litestar) -> None:
    """Not ready any more; streams and long polls end. What is being answered is answered to the end."""
    app.state.desk.stop()
