"""Builds and kernels that cannot be had: refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from hatester.artifacts import haproxy
from hatester.cli.program import MISTAKE
from hatester.util.errors import MeasurementError
from tests.factories.bad_input import CELL, LONG, require_refusal
from tests.factories.project import call

BUILDS = [
    ("plan --haproxy 9.9", "--haproxy: there is no '9.9' (there are: 2.2,"),
    ("plan --haproxy Sid", "--haproxy: there is no 'Sid'"),
    ("plan --haproxy sid:", "--haproxy: there is no 'sid:'"),
    ("plan --haproxy :", "--haproxy: there is no ':'"),
    ("plan --haproxy sid:x", "--haproxy sid:x: version: expected a version such as 3.0"),
    ("plan --haproxy ./none/haproxy", "none/haproxy: there is no such file."),
    ("plan --haproxy ./none.deb", "none.deb: there is no such file."),
    ("plan --haproxy none.deb", "none.deb: there is no such file."),
    ("plan --haproxy ~nobodyx/haproxy", "~nobodyx/haproxy: there is no such file."),
    ("plan --haproxy ./docs", "docs: it is a folder."),
    ("plan --haproxy /", "--haproxy /: it is a folder."),
    ("plan --haproxy ./README.md", "README.md is not a program (an ELF file that is whole)."),
    ("plan --haproxy /bin/ls", "ls is not a HAProxy: it has no version of one."),
    ("plan --haproxy /dev/null", "--haproxy /dev/null: it is not a regular file."),
    ("plan --haproxy ./fifo", "fifo: it is not a regular file."),
    ("plan --haproxy ./fifo.deb", "fifo.deb is not a regular file."),
    ("plan --haproxy ./docs.deb", "docs.deb is not a regular file."),
    ("plan --haproxy ./empty", "empty: it is empty."),
    ("plan --haproxy docker://", "--haproxy docker://: image: 'docker://' is not an image"),
    (
        "plan --haproxy 'docker://a b'",
        "--haproxy docker://a b: image: 'docker://a b' is not an image",
    ),
    ("plan --haproxy oci:", "--haproxy oci:: image: 'oci:' names no file"),
    ("plan --haproxy oci:none:tag", "none is missing."),
    ("plan --haproxy oci:docs", "docs is not an OCI layout: it has no index.json."),
    ("plan --haproxy oci:empty", "empty is not an OCI layout"),
    ("plan --haproxy oci:bad:tag", "bad: index.json: expected keys, got []."),
    ("plan --haproxy oci:pipe", "pipe is not an OCI layout"),
    ("plan --haproxy oci:layout:tug", "layout has no tag 'tug' (there are: tag)."),
    ("plan --haproxy oci-archive:none.tar", "none.tar is missing."),
    (
        "plan --haproxy oci-archive:empty",
        "empty is not an archive of an image: it has no index.json.",
    ),
    (
        "plan --haproxy docker-archive:fifo",
        "fifo is not an archive of an image: it has no manifest.json.",
    ),
    ("plan --haproxy docker-archive:docs", "docs is not an archive of an image"),
    ("builds --haproxy ./docs", "docs: it is a folder."),
    ("builds --haproxy 1.8", "--haproxy: there is no '1.8'"),
    ("versions --haproxy 1.8", "--haproxy: there is no '1.8'"),
    ("matrix --haproxy ./docs", "docs: it is a folder."),
    ("matrix --haproxy ./fifo", "fifo: it is not a regular file."),
    ("plan --haproxy '*'", "--haproxy: there is no '*'"),
    ("plan --haproxy 'a b'", "--haproxy: there is no 'a b'"),
    ("plan --haproxy=-x", "--haproxy: there is no '-x'"),
    ("plan --haproxy 'sid:*'", "--haproxy sid:*: version: expected a version such as 3.0"),
    ("plan --haproxy sid:3.0:x", "--haproxy sid:3.0:x: version: expected a version such as 3.0"),
    ("plan --haproxy docker:haproxy", "--haproxy docker:haproxy: version: expected a version"),
    ("plan --haproxy haproxy:1.8", "an image has a transport, as in docker://haproxy:1.8."),
    ("plan --haproxy docker://haproxy:1.8:x", "'docker://haproxy:1.8:x' is not an image such as"),
    ("plan --haproxy docker://haproxy@sha256:x", "is not an image such as haproxy:1.8.26"),
    ("plan --haproxy Docker://haproxy", "docker:// is the only URL that it takes."),
    ("plan --haproxy http://x/haproxy", "--haproxy http://x/haproxy: docker:// is the only URL"),
    ("plan --haproxy file:///bin/ls", "Fetch the file, and name its path."),
    ("plan --haproxy oci::tag", "'oci::tag' names no file."),
    ("plan --haproxy oci-archive:image.tar:x", "image.tar has no tag 'x' (there are: tag)."),
    ("plan --haproxy docker-archive:image.tar", "image.tar is not an archive of an image"),
    ("plan --haproxy oci-archive:image.tar/x", "image.tar/x is missing."),
    ("plan --haproxy ./dangling", "dangling: there is no such file."),
    ("plan --haproxy ./loop", "loop: there is no such file."),
    ("plan --haproxy ./good.cfg/x", "good.cfg/x: there is no such file."),
    ("plan --haproxy ./binary.cfg", "binary.cfg is not a program (an ELF file that is whole)."),
    ("plan --haproxy /dev/zero", "--haproxy /dev/zero: it is not a regular file."),
    ("plan --haproxy './*.deb'", "*.deb: there is no such file."),
    ("plan --haproxy ./é", "é: there is no such file."),
    (r"plan --haproxy './a\x00b'", r"a\x00b: there is no such file."),
    (f"plan --haproxy {LONG}", "suite: expected a name of letters, digits and .+_-"),
    (f"plan --haproxy ./{LONG}", "aaa: there is no such file."),
    ("plan --haproxy 2.2 --haproxy ./docs", "docs: it is a folder."),
    ("make-builds --haproxy ./fifo", "fifo: it is not a regular file."),
    ("list-releases --haproxy nope.deb", "nope.deb: there is no such file."),
]
KERNELS = [
    ("plan --kernel 6.2", "--kernel: there is no '6.2'"),
    ("plan --kernel 6.1=x", "--kernel: there is no '6.1=x'; did you mean 6.1?"),
    ("plan --kernel ./nope.deb", "nope.deb: there is no such file."),
    ("plan --kernel nope.deb", "nope.deb: there is no such file."),
    ("plan --kernel ./nope", "nope: there is no such file."),
    ("plan --kernel '/nowhere/*.deb'", "/nowhere/*.deb: there is no Debian package."),
    ("plan --kernel ./docs", "docs: there is no Debian package."),
    ("plan --kernel ./fifo", "fifo: it is not a regular file."),
    ("plan --kernel ./fifo.deb", "fifo.deb: it is not a regular file."),
    ("plan --kernel /dev/null", "/dev/null: it is not a regular file."),
    ("plan --kernel ./README.md", "README.md is not a kernel that can be booted"),
    ("plan --kernel ./empty", "empty is not a kernel that can be booted"),
    ("plan --kernel /bin/ls", "/bin/ls is not a kernel that can be booted"),
    ("plan --kernel ~nobodyx/x.deb", "names no folder: there is no such user."),
    ("plan --kernel 6.2:x", "--kernel: there is no '6.2:x'"),
    ("plan --kernel snapshot:", "snapshot: expected a name of letters, digits and .+_-, got ''."),
    ("plan --kernel bookworm:x", "version: expected a version such as 6.1, a release"),
    ("plan --kernel bookworm:6.1:zen", "flavour: there is no 'zen' (there are: cloud,"),
    ("plan --kernel bookworm:6.1:rt:x", "of a suite it takes SUITE:VERSION:FLAVOUR."),
    ("images --kernel 6.2", "--kernel: there is no '6.2'"),
    ("images --kernel ./fifo", "fifo: it is not a regular file."),
    (f"shell {CELL} --kernel /etc/passwd", "/etc/passwd is not a kernel that can be booted"),
    ("plan --kernel é", "--kernel: there is no 'é'"),
    ("plan --kernel '*'", "--kernel: there is no '*'"),
    ("plan --kernel -1", "--kernel: there is no '-1'"),
    ("plan --kernel 6.1.", "--kernel: there is no '6.1.'; did you mean 6.1?"),
    ("plan --kernel 6.1:6.1", "--kernel: there is no '6.1:6.1'; did you mean 6.1?"),
    ("plan --kernel ::", "--kernel: there is no '::'"),
    ("plan --kernel 'a b:6.1'", "--kernel: there is no 'a b:6.1'"),
    ("plan --kernel http://x/y.deb", "--kernel http://x/y.deb: it takes no URL. Fetch the file,"),
    ("plan --kernel snapshot:6.1", "expected a release as of `uname -r`, such as snapshot:6.1.0-"),
    ("plan --kernel 'snapshot:a b'", "snapshot: expected a name of letters, digits and .+_-"),
    ("plan --kernel bookworm/6.1", "bookworm/6.1: there is no such file."),
    ("plan --kernel ./dangling", "dangling: there is no such file."),
    ("plan --kernel ./loop", "loop: there is no such file."),
    ("plan --kernel ./docs.deb", "docs.deb: there is no Debian package."),
    ("plan --kernel './*.deb'", "*.deb: there is no Debian package."),
    ("plan --kernel ./image.tar", "image.tar is not a kernel that can be booted"),
    ("plan --kernel ./binary.cfg", "binary.cfg is not a kernel that can be booted"),
    (f"plan --kernel ./{LONG}", "aaa: there is no such file."),
    ("plan --kernel 6.1 --kernel ./docs", "docs: there is no Debian package."),
    ("make-images --kernel nope.deb", "nope.deb: there is no such file."),
    ("list-mirror --suite ../x", "--suite: '../x' is not the name of a suite."),
]


@pytest.mark.parametrize(("line", "part"), [*BUILDS, *KERNELS])
def test_a_bad_reference_gets_one_sentence(place: Path, line: str, part: str) -> None:
    require_refusal(place, line, MISTAKE, part)


@pytest.mark.parametrize("word", ["oci:layout", "oci:layout:tag", "oci-archive:image.tar:tag"])
def test_an_image_that_is_there_is_planned(place: Path, word: str) -> None:
    done = call("plan", "--haproxy", word, folder=place)
    assert (done.returncode, len(done.stdout.split())) == (0, 20), done.stderr


def test_a_suite_without_such_a_build_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_archive: object, suite: str, version: str | None) -> None:
        raise MeasurementError(f"the mirror has no suite {suite} with {version}")

    monkeypatch.setattr(haproxy, "of_suite", refuse)
    sentence = "--haproxy nope:9.9: the mirror has no suite nope with 9.9."
    for command in ("plan", "matrix", "make-builds"):
        require_refusal(place, f"{command} --haproxy nope:9.9", MISTAKE, sentence)
