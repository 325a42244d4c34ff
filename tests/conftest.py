"""Nothing is tested by the clock: how long an example takes says nothing here."""

from __future__ import annotations

import hypothesis

hypothesis.settings.register_profile("hatester", deadline=None)
hypothesis.settings.load_profile("hatester")
