"""stub, replaced by merge"""

from collections.abc import Sequence

from hatester.findings import Finding
from hatester.results import Results


def render(results: Results, findings: Sequence[Finding]) -> str:
    return ""
