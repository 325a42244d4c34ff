"""HAProxy accepts the copy of each configuration that it accepts."""

from __future__ import annotations

import dataclasses
import os
import random
from pathlib import Path
from typing import Any

import pytest

from hatester.capture.capture import capture
from hatester.capture.captured_host import write_host
from hatester.matrix.scenario import MADE
from hatester.runner.guest_like_host import own_of
from hatester.runner.guest_plan import root_content
from hatester.runner.user_config import Own
from hatester.util.text import printable
from tests.factories import haproxy_check
from tests.factories.planted import EXPECTED, FOLDER, PlantedHost, Planter
from tests.factories.production_host import MadeUpHost

pytestmark = pytest.mark.skipif(bool(haproxy_check.lack()), reason=haproxy_check.lack())

IMAGES = haproxy_check.images()
NAMES = sorted(file.name for file in FOLDER.glob("*.cfg"))
FEW = int(os.environ.get("HATESTER_PLANTED_COPIES", "12"))
"""How many planted configurations each build is asked."""
SEED = int(os.environ.get("HATESTER_SEED", random.randrange(2**32)))


def plan(own: Own) -> dict[str, Any]:
    """Return what a build is asked: a configuration, and what is around it."""
    made = {MADE + path.lstrip("/"): text for path, text in own.around.made.items()}
    content = root_content({**own.files, **made}, own.root, own.env)
    return {"text": own.texts["before"], "root": dataclasses.asdict(content)}


def copied(folder: Path, host: MadeUpHost) -> Own:
    """Return the copy of a host's configuration, as a run takes it."""
    captured = capture(host)
    write_host(folder, "lb1", "lb1", captured.host, captured.files)
    return own_of(captured.host, folder, "lb1")


def refused(image: Path, originals: list[Own], copies: list[Own]) -> tuple[int, list[str]]:
    """Return how many originals a build accepts, and what it says of the copies of these."""
    accepted = [not each for each in haproxy_check.check(image, [*map(plan, originals)])]
    said = haproxy_check.check(image, [*map(plan, copies)])
    problems = [each for each, is_fit in zip(said, accepted, strict=True) if each and is_fit]
    return sum(accepted), problems


@pytest.mark.parametrize("version", IMAGES)
def test_each_copy_is_accepted_where_its_original_is(tmp_path: Path, version: str) -> None:
    originals, copies = [], []
    for name in NAMES:
        text = (FOLDER / name).read_text()
        env = dict(EXPECTED.get(name, {}).get("env", {}))
        host = MadeUpHost()
        host.files["/etc/haproxy/haproxy.cfg"] = text
        host.files["/etc/default/haproxy"] = "".join(f"{k}={v}\n" for k, v in env.items())
        originals.append(Own(text, text, {}, env=env))
        copies.append(copied(tmp_path, host))
    accepted, problems = refused(IMAGES[version], originals, copies)
    assert accepted > len(NAMES) * 3 / 4
    assert not problems, "\n".join(map(printable, problems))


@pytest.mark.parametrize("version", IMAGES)
def test_a_copy_of_a_planted_host_is_accepted(tmp_path: Path, version: str) -> None:
    originals, copies = [], []
    for number, name in enumerate(random.Random(SEED).sample(NAMES, min(FEW, len(NAMES)))):
        env = dict(EXPECTED.get(name, {}).get("env", {}))
        planter = Planter(SEED + number)
        text = planter.accepted((FOLDER / name).read_text())
        originals.append(Own(text, text, {}, env=env))
        own = copied(tmp_path, PlantedHost(planter, text, env))
        assert not planter.survivors([own.before, *own.files, *own.files.values()])
        copies.append(own)
    accepted, problems = refused(IMAGES[version], originals, copies)
    assert accepted > FEW / 2, f"seed {SEED}"
    assert not problems, f"seed {SEED}\n" + "\n".join(map(printable, problems))
