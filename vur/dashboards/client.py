"""The pages' client of the REST API: every request is the visitor's, with the visitor's own token."""

from collections.abc import Mapping
from typing import Any

from vur.errors import VurError

PATIENCE = 30.0  # seconds


class ServiceError(Exception):
    """A request that the service refused: its words in the visitor's language, its code, status and field."""

    def __init__(self, status: int, code: str, detail: str, field: str | None = None, values: Any = None):
        super().__init__(detail)
        self.status, self.code, self.detail, self.field, self.values = status, code, detail, field, values

    @property
    def ended(self) -> bool:
        """Whether the visitor's session has ended."""
        return self.status == 401


class Client:
    """The REST API at `url`, such as `http://127.0.0.1:8000/api/v1`, for the owner of `token`."""

    def __init__(self, url: str, token: str | None = None, language: str = "en"):
        import httpx

        self.url, self.token, self.language = url.rstrip("/"), token, language
        self._http = httpx.Client(timeout=PATIENCE, trust_env=False)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send a request and return the JSON of its answer, None for an empty one.

        `VurError` pages.no_service if nothing answers; `ServiceError` for an answer of 400 and more.
        """
        import httpx

        headers = {"Accept-Language": self.language} | options.pop("headers", {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            answer = self._http.request(method, self.url + path, headers=headers, **options)
        except httpx.TransportError as error:
            raise VurError("pages.no_service", url=self.url, reason=type(error).__name__) from None
        if answer.status_code >= 400:
            raise refusal(answer.status_code, _json(answer))
        return _json(answer) if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        """GET `path` with the parameters `query`, without those that are None."""
        return self.request("GET", path, params={key: value for key, value in query.items() if value is not None})

    def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """POST `body` as JSON."""
        return self.request("POST", path, **({} if body is None else {"json": body}), **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Any:
        """PUT `body` as JSON."""
        return self.request("PUT", path, **({} if body is None else {"json": body}), **options)

    def delete(self, path: str, **options: Any) -> Any:
        """DELETE `path`."""
        return self.request("DELETE", path, **options)


def _json(answer: Any) -> Any:
    kind = answer.headers.get("content-type", "")
    return answer.json() if "json" in kind else {"detail": answer.text[:500]} if answer.is_error else answer.text


def refusal(status: int, body: Any) -> ServiceError:
    """The error of an answer's `status` and JSON `body`."""
    body = body if isinstance(body, Mapping) else {"detail": str(body)}
    detail = body.get("detail")
    return ServiceError(status, str(body.get("code", "")), str(detail or status), body.get("field"), body.get("values"))
