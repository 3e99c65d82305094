"""The team's recipes as the page reaches them, and who is in front of it."""

from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlencode

import jwt
import streamlit as st

from services.ui.settings import read_settings
from steerboard.api.tokens import ANONYMOUS
from steerboard.spec.capabilities import ModelInfo
from steerboard.spec.errors import InvalidRequest
from steerboard.spec.recipe import Recipe
from steerboard.store.recipes import Recipes

# Query parameters: a recipe, one of its versions, one of its evidence runs, a run in progress.
RECIPE, VERSION, RUN, JOB = "recipe", "v", "run", "job"
AUTHOR = "author"


@st.cache_resource(show_spinner=False)
def shelf() -> Recipes:
    """Opened once a process."""
    settings = read_settings()
    return Recipes(settings.store, tenant_of(settings.token))


def tenant_of(token: str | None) -> str:
    """Whose recipes the page shows: those of its own token's tenant."""
    if not token:
        return ANONYMOUS.tenant
    try:
        # The services check the signature; the page has no secret to do so.
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return ANONYMOUS.tenant
    return str(claims.get("tenant", ANONYMOUS.tenant))


def author() -> str:
    """Who is in front of the page, as they last said."""
    return cast(str, st.session_state.get(AUTHOR, ""))


def ask_author(key: str) -> str:
    """A field for one's name, remembered for the whole visit."""
    name = st.text_input("Your name", value=author(), key=key, max_chars=200)
    st.session_state[AUTHOR] = (name or "").strip()
    return author()


def require_author() -> str:
    """The name; raises InvalidRequest where nobody has said it yet."""
    if not author():
        raise InvalidRequest("fill in your name first, so that the team knows whose this is")
    return author()


def opened() -> tuple[str, int | None]:
    """The recipe and the version that the address names; empty and None for neither."""
    name, version = st.query_params.get(RECIPE, ""), st.query_params.get(VERSION, "")
    if version and not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise InvalidRequest(f"the address asks for version {version[:20]!r}: versions are numbers")
    return name, int(version) if version else None


def go(name: str = "", version: int | None = None) -> None:
    """Show a recipe, or the list; for callbacks."""
    for parameter in (RECIPE, VERSION, RUN, JOB):
        if parameter in st.query_params:
            del st.query_params[parameter]
    if name:
        st.query_params[RECIPE] = name
    if version is not None:
        st.query_params[VERSION] = str(version)


def link(recipe: Recipe) -> str:
    """The address of one version, for others to open."""
    base = (st.context.url or "").partition("?")[0].rstrip("/")
    path = base if base.endswith("/recipes") else f"{base}/recipes"
    return f"{path}?{urlencode({RECIPE: recipe.name, VERSION: recipe.version})}"


def announce(sentence: str) -> None:
    """Leave a sentence for the next drawing of the page of recipes."""
    st.session_state["recipe-news"] = sentence


def announced() -> str:
    """The sentence that was left, once."""
    return cast(str, st.session_state.pop("recipe-news", ""))


def when(moment: datetime) -> str:
    """Such as ``today 14:05``, ``3 May 2026``; in UTC."""
    at, now = moment.astimezone(UTC), datetime.now(UTC)
    if at.date() == now.date():
        return f"today {at:%H:%M} UTC"
    return f"{at.day} {at:%b %Y}"


def misfit(recipe: Recipe, info: ModelInfo) -> str:
    """What about the served model differs from the one that a recipe was made on; or nothing."""
    made = recipe.provenance
    if made.model != info.id:
        return f"it was made for model {made.model}, and here {info.id} is served"
    if made.model_fingerprint != info.fingerprint:
        return (
            f"it was made for model {made.model} with other weights"
            f" ({made.model_fingerprint[:10]}, here {info.fingerprint[:10]})"
        )
    for pin in made.dictionaries:
        here = info.dictionary(pin.id)
        if here is None:
            return f"it needs dictionary {pin.id}, which is not served here"
        if here.fingerprint != pin.fingerprint:
            return (
                f"dictionary {pin.id} is another one here ({here.fingerprint[:10]}, the recipe"
                f" was made with {pin.fingerprint[:10]})"
            )
    return ""
