"""Whether the Hugging Face hub answers: asked before something is wanted of it, once and briefly.

huggingface_hub itself tries six times, some 25 seconds in all, before it gives up on a file that is not in its cache.
"""

from __future__ import annotations

import functools

SECONDS = 5
"""How long the hub may take to answer at all."""


@functools.cache
def hub_fault() -> str | None:
    """Why the hub cannot be reached, or None: it answers, or offline mode is on (HF_HUB_OFFLINE=1), where nothing is
    asked and huggingface_hub looks into its cache alone. Asked once in a process.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        get_session().head(constants.ENDPOINT, timeout=SECONDS)
    except Exception as error:  # what it raises is its HTTP client's own, and that has changed between versions
        return f"{constants.ENDPOINT} cannot be reached: {error or type(error).__name__}"
    return None


def is_cached(model: str) -> bool:
    """Whether a hub model's configuration lies in the local cache. False for a name that no hub model can have."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(model, "config.json"), str)
    except HFValidationError:
        return False
