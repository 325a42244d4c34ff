"""apt's lists of a suite's packages, as they were fetched.

apt does not notice what becomes of them afterwards: of a list that was cut off it knows the
packages before the cut, and it fetches none again that it has, as long as the mirror has nothing
newer.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from hatester.artifacts.manifest import Manifest
from hatester.util.files import remove
from hatester.util.jsonfile import Damaged

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PackageLists:
    """The lists of one suite among those of all suites, in the folder `lists` of `root`."""

    root: Path
    suite: str

    @property
    def _manifest(self) -> Manifest:
        # apt names them by their URL (URItoFileName of apt-pkg/contrib/strutl.cc).
        pattern = f"*_dists_{self.suite}_*"
        return Manifest(self.root / f"{self.suite}.lists.json", self.root / "lists", pattern)

    def note(self) -> None:
        """Note what has just been fetched."""
        self._manifest.write()

    def are_untouched(self) -> bool:
        """Whether nothing points to a change since then."""
        return self._manifest.is_untouched()

    def are_whole(self) -> bool:
        """Whether they are what was fetched; else they are thrown away, with a word to the user.

        To be called by one at a time.
        """
        manifest = self._manifest
        try:
            manifest.verify()
        except Damaged as error:
            gone = [manifest.file, *manifest.folder.glob(manifest.pattern)]
            if any(path.exists() for path in gone):
                log.warning(
                    f"{manifest.folder} is not what was fetched: {error}; what it has of "
                    f"{self.suite} is thrown away, and fetched again"
                )
            for path in gone:
                remove(path)
            return False
        return True
