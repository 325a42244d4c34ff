"""Hostile names: whatever a shell, apt, systemd or a program is given of them, it stays a name."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pydantic
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hatester.artifacts import disk
from hatester.artifacts.apt import Archive, debian
from hatester.artifacts.deb import read_deb, unpack
from hatester.artifacts.disk import Tree
from hatester.artifacts.mirrors import Mirrors
from hatester.capture import remote
from hatester.capture.remote import Remote
from hatester.commands import runs
from hatester.commands.artifacts import list_kernels
from hatester.guests import qmp
from hatester.guests.guest import Guest, build_root
from hatester.guests.host_capabilities import Engine
from hatester.guests.vagrant import Vagrant
from hatester.matrix.binds import Configuration
from hatester.matrix.declarations import NAME, Build, Kernel, Setting
from hatester.matrix.image_reference import reference
from hatester.matrix.plan import Cell
from hatester.results.repeat_command import repeat_command
from hatester.results.store import Results
from hatester.util import process
from hatester.util.errors import MeasurementError, UserError
from hatester.util.settings import Settings, read_settings
from provision.guest import transcript
from provision.guest.reload_methods import systemd_variable, systemd_words
from tests.factories.cells import run_of, shown
from tests.factories.hostile import ADDRESSES, NAMES, examples, names, refused
from tests.factories.kernels import make_deb
from tests.factories.log import log_messages
from tests.factories.production_host import shell

WORDS = [name for name in NAMES if "\0" not in name and "\ud800" not in name]
"""What can be an argument of a program at all."""
PARTS = [word.replace("/", "_") for word in WORDS if word.strip(".") and len(word) < 255]
"""What can be the name of a file."""
ENGINE = Engine("tcg", "real", 2)

NASTY = "-a b'c\"d$(reboot)`reboot`;*[e]~#:é"
"""A file's name with all that a shell knows."""
COMMANDS = (
    "mkdir", "mount", "python3", "mkfifo", "modprobe", "setsid", "sync", "cat", "uname",
)  # fmt: skip
"""What installing builds in a guest runs there."""
words = st.lists(
    st.sampled_from(WORDS) | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    max_size=5,
)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def as_sh_has_it(line: str) -> list[str]:
    """Return the words of a line, split by the shell itself."""
    said = subprocess.run(
        ["sh", "-c", f"printf '%s\\0' - {line}"], check=True, capture_output=True, env={}
    ).stdout
    return said.decode().split("\0")[1:-1]


@examples(0.25)
@given(words)
def test_a_logged_command_can_be_pasted(given_words: list[str]) -> None:
    with log_messages(is_verbose=True) as logged:
        process.log_command(["printf", *given_words])
        process.log_command(
            ["sh", "-c", 'printf "%s\\0" "$X" "$@"', "sh", *given_words], {"X": NASTY}
        )
    transcript.taken()  # what other tests have left
    transcript.note(*given_words)
    assert as_sh_has_it(logged[0]) == ["printf", *given_words]
    said = subprocess.run(["sh", "-c", logged[1]], check=True, capture_output=True).stdout
    assert said.decode().split("\0")[:-1] == [NASTY, *given_words]
    [line] = transcript.taken()
    assert as_sh_has_it(line) == given_words


@given(words, names.filter(bool), st.sampled_from(PARTS))
def test_measuring_again_can_be_pasted(
    tmp_path_factory: pytest.TempPathFactory, described: list[str], host: str, name: str
) -> None:
    cell = Cell(name, "2.2", "plain", "lost-address", "signal")
    builds = {"2.2": described[0]} if described else {}
    measured = shown(seed=3)
    measured = measured.model_copy(update={"id": cell.id})
    for run in ({"builds": builds}, {"captured": host}):
        content = run_of().model_copy(update=run)
        results = Results(Path("/no/such folder"), content)
        again = shlex.split(repeat_command(results, measured))
        assert again[:3] == ["./bootstrap", "invoke", "matrix"]
        assert again[-4:] == ["--seed", "3", "--clock", "real"]
        assert (host if "captured" in run else name) in again
        assert builds.get("2.2", "2.2") in again or "captured" in run


def test_entering_a_kept_machine_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / NASTY
    machine = folder / "machines" / NASTY / "qemu"
    machine.mkdir(parents=True)
    (machine / "id").touch()
    runs.show_kept(Vagrant(tmp_path, folder, ENGINE))
    enter, end = capsys.readouterr().out.splitlines()
    found = as_sh_has_it(enter.removeprefix("kept: "))
    assert f"HATESTER_MACHINES={folder}/machines.json" in found
    assert found[-3:] == ["vagrant", "ssh", NASTY]
    assert f"VAGRANT_DOTFILE_PATH={folder}" in as_sh_has_it(end.removeprefix("end with: "))


@examples(0.1)
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=8, unique=True))
def test_host_files_of_any_name(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("host")
    paths = [str(folder / part) for part in parts]
    for path in paths:
        Path(path).write_text(path)
    assert {path: each.text for path, each in Remote(shell).read(paths).items()} == {
        path: path for path in paths
    }
    # Also where a host's unit names a file in a way that no path begins.
    [answer] = Remote(shell).read(["-e1w/tmp/x"]).values()
    assert answer.problem == "No such file or directory"


class Recorder:
    """The connection to a guest that runs no command, but has a shell take it apart."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.folder = folder / "bin"
        self.folder.mkdir()
        recorder = self.folder / "recorder"
        recorder.write_text(f'#!/bin/sh\nprintf "%s\\0" "${{0##*/}}" "$@" "" >>{self.log}\n')
        recorder.chmod(0o755)
        for name in COMMANDS:
            (self.folder / name).symlink_to(recorder)
        for name in ("sh", "timeout"):
            (self.folder / name).symlink_to(f"/usr/bin/{name}")

    def run(self, command: str, **_: object) -> Any:
        done = subprocess.run(
            ["/bin/sh", "-c", command], check=False, capture_output=True, text=True,
            env={"PATH": str(self.folder)},
        )  # fmt: skip
        return SimpleNamespace(
            failed=done.returncode != 0, exited=done.returncode, stdout="6.1\n", stderr=done.stderr
        )

    @property
    def commands(self) -> list[list[str]]:
        return [each.split("\0") for each in self.log.read_bytes().decode().split("\0\0")[:-1]]


def test_guest_installs_builds_of_any_name(tmp_path: Path) -> None:
    kit: Any = SimpleNamespace(release="6.1")
    image: Any = SimpleNamespace(kit=kit)
    keys: Any = None
    guest = Guest("6.1", image, keys, Vagrant(tmp_path, tmp_path, ENGINE))
    recorder: Any = Recorder(tmp_path)
    recorder.put = lambda *_: None
    recorder.sftp = lambda: SimpleNamespace(get_channel=socket.socket)
    recorder.create_session = lambda: (_ for _ in ()).throw(OSError("there is no guest"))
    guest.connection = recorder
    with pytest.raises(MeasurementError, match="there is no guest"):
        guest.prepare({name: Tree("1", Path("/x/0123456789abcdef")) for name in PARTS})
    made = [command[2] for command in recorder.commands if command[:2] == ["mkdir", "-p"]]
    assert made[1:] == [build_root(name) for name in PARTS]
    mounts = [command for command in recorder.commands if command[0] == "mount"]
    assert len(mounts) == len(PARTS)
    assert {len(command) for command in mounts} == {5}


@given(words)
def test_systemd_keeps_arguments_whole(arguments: list[str]) -> None:
    arguments = [each for each in arguments if each.isprintable()]
    said = systemd_variable("EXTRAOPTS", systemd_words(arguments))
    assert "\n" not in said
    assert not re.search("(?<!%)(%%)*%(?!%)", said)
    # Within double quotes, systemd's are the rules of a shell.
    [assignment] = shlex.split(said.replace("%%", "%"))
    assert shlex.split(assignment.removeprefix("EXTRAOPTS=")) == arguments


def test_apt_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a b'c\\d;#{}$(reboot)*:e,f%22 é"))
    nowhere = "file:///no/such/folder"
    with pytest.raises(MeasurementError, match="has no suite sid"):
        Archive(Mirrors(nowhere, nowhere)).refresh("sid")
    [configuration] = tmp_path.glob("*/hatester/apt/*/sid.conf")
    said = subprocess.run(
        ["apt-config", "shell", "FOUND", "Dir::State/d", "SOURCES", "Dir::Etc::SourceList/f"],
        check=True, capture_output=True, text=True, env={"APT_CONFIG": str(configuration)},
    ).stdout  # fmt: skip
    found = dict(word.split("=", 1) for word in shlex.split(said))
    assert found["FOUND"] == f"{configuration.parent}/"
    assert found["SOURCES"] == str(configuration.parent / "sid.list")


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a\udcffb"])
def test_apt_refuses_a_misreadable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
    with pytest.raises(UserError, match="apt knows no folder"):
        Archive(Mirrors("http://nowhere", "http://nowhere")).refresh("sid")


@given(names | st.builds("http://{}".format, names))
def test_mirror_is_one_field_or_refused(uri: str) -> None:
    assume(uri)
    with refused("expected a URL such as"):
        settings = read_settings({"hatester": {"mirror": uri, "security_mirror": uri}})
        lines = debian(settings).sources("trixie-backports").split("\n")
        fields = [line.split() for line in lines]
        assert [len(each) for each in fields] == [5, 5, 0]
        assert [each[0] for each in fields[:2]] == ["deb", "deb"]
        assert not fields[0][2].startswith("[")


@given(names)
def test_a_suite_is_a_name_or_refused(suite: str) -> None:
    assume(suite and not re.fullmatch(NAME, suite))
    with pytest.raises(UserError, match="--suite: "):
        list_kernels(Settings(), [suite], [], False, is_json=False)


@given(names, names)
@example("me@-oProxyCommand=x", "")
@example("", "")
@example("me@", "")
@example(":22", "")
def test_invalid_host_is_refused(host: str, user: str) -> None:
    hostile = re.compile(r"[\s'\"`$\\;&<>|(){}\x00-\x1f\x7f]|^-|@-")
    is_nameless = re.fullmatch(r"(?:.*@)?(?::\d*)?", host)
    assume(is_nameless or hostile.search(host) or hostile.search(user))
    with pytest.raises(UserError, match="is not a valid name for ssh"), remote.visit(host, user):
        pass


@given(names | st.sampled_from(ADDRESSES))
def test_declared_words_are_not_options(word: str) -> None:
    for model, key in ((Kernel, "suite"), (Kernel, "snapshot"), (Build, "suite"), (Build, "image")):
        try:
            made = model.model_validate({key: word})
        except pydantic.ValidationError:
            continue
        assert not str(getattr(made, key)).startswith("-")
        assert str(getattr(made, key)).isprintable()
    try:
        setting = Setting.model_validate({"sysctls": {word: word}})
    except pydantic.ValidationError:
        return
    for name in setting.sysctls:
        assert all(part.strip(".") for part in re.split("[./]", name))
        assert not name.startswith(("-", "/"))


@given(names)
def test_image_needs_a_transport(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert reference(text).startswith(("docker://", "docker-archive:", "oci:", "oci-archive:"))
        assert reference(text).isprintable()


@given(st.lists(names, max_size=3), st.lists(names, max_size=3))
def test_setting_adds_only_its_lines(lines: list[str], options: list[str]) -> None:
    text = "global\n    daemon\nfrontend web\n    bind :80 # all\n    bind :81\n"
    try:
        setting = Setting.model_validate({"global": lines, "bind": options})
    except pydantic.ValidationError:
        return
    altered = Configuration("x", text).under(setting).split("\n")
    assert len(altered) == len(text.split("\n")) + len(lines)
    assert altered[1 : 1 + len(lines)] == [f"    {line}" for line in lines]


def test_checkpoint_file_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def execute(_folder: Path, *wanted: tuple[str, Any]) -> list[Any]:
        asked.update(wanted)
        return [{"status": "completed"}]

    monkeypatch.setattr(qmp, "execute", execute)
    qmp.save_devices(tmp_path, tmp_path / NASTY)
    command = asked["migrate"]["uri"].removeprefix("exec:")
    subprocess.run(["sh", "-c", command], check=True, input=b"devices")
    assert (tmp_path / NASTY).read_bytes() == b"devices"


def test_packages_and_disks_may_be_anywhere(tmp_path: Path) -> None:
    folder = tmp_path / NASTY
    folder.mkdir()
    deb = read_deb(make_deb(folder, "linux-image-6", "1", {"boot/vmlinuz-6": b"kernel"}))
    assert deb.name == "linux-image-6"
    unpack(deb.file, folder / "tree")
    assert (folder / "tree/boot/vmlinuz-6").read_bytes() == b"kernel"
    packed = folder / "tree.tar"
    subprocess.run(["tar", "-cf", packed, "-C", folder / "tree", "boot"], check=True)
    disk.make_ext4_from_tar(packed, folder / "tree.ext4", "2048k")
    disk.make_ext4(folder / "tree", folder / "own.ext4")
    assert (folder / "tree.ext4").stat().st_size == 2048 * 1024
