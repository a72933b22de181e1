"""The site's secret key where none is configured: made once, kept in the data folder, readable by its owner alone."""

import os
import tempfile
from pathlib import Path

from django.core.management.utils import get_random_secret_key


def kept_in(file: Path) -> str:
    """The key in `file`, made now where there is none."""
    if not file.exists():
        _make(file)
    return file.read_text().strip()


def _make(file: Path) -> None:
    """Written aside and linked into place: of two first starts one wins, and neither reads half a key."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=".secret_key-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w") as new:
            new.write(get_random_secret_key())
            new.flush()
            os.fsync(new.fileno())
        os.link(draft, file)
    except FileExistsError:
        pass  # the other process was first: its key counts
    finally:
        Path(draft).unlink()
