"""Who types a command, as the log names them."""

import os
import pwd


def actor() -> str:
    """Whose hands are at the keyboard, as the audit tells it."""
    try:
        return f"cli/{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container's user has no name
        return f"cli/{os.getuid()}"
