"""Who may write: a bearer token, compared in constant time."""

from hmac import compare_digest
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.state import AppState

_bearer = HTTPBearer(auto_error=False, description="Token of http.token_file or TILTMETER_TOKEN.")

NO_TOKEN = "writing is switched off: set a token by http.token_file or TILTMETER_TOKEN"


def app_state(request: Request) -> AppState:
    """The seams this application was made with."""
    state: AppState = request.app.state.tiltmeter
    return state


State = Annotated[AppState, Depends(app_state)]


def writer(state: State, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """Refuse with 403 when no token is configured, with 401 when the request does not carry it."""
    if state.open_writes:
        return
    if state.token is None:
        raise HTTPException(403, NO_TOKEN)
    if given is None:
        raise HTTPException(401, "this needs the header 'Authorization: Bearer TOKEN'", headers={"WWW-Authenticate": "Bearer"})
    if not compare_digest(given.credentials.encode(), state.token.encode()):
        raise HTTPException(401, "this is not the token of this service", headers={"WWW-Authenticate": "Bearer"})


Writer = Depends(writer)
