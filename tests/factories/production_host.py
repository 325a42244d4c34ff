"""A made-up production host: its files, and what its commands print."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from hatester.capture.capture import FACTS
from hatester.capture.remote import Answer, Remote

UNIT = """\
# /lib/systemd/system/haproxy.service
[Unit]
Description=HAProxy Load Balancer

[Service]
EnvironmentFile=-/etc/default/haproxy
Environment="CONFIG=/etc/haproxy/haproxy.cfg" "PIDFILE=/run/haproxy.pid"
ExecStart=/usr/sbin/haproxy -Ws -f $CONFIG -p $PIDFILE $EXTRAOPTS
ExecReload=/usr/sbin/haproxy -Ws -f $CONFIG -c -q $EXTRAOPTS
ExecReload=/bin/kill -USR2 $MAINPID
Type=notify

# /etc/systemd/system/haproxy.service.d/limits.conf
[Service]
LimitNOFILE=200000
"""
ADDRESSES = [
    {
        "ifname": "lo", "link_type": "loopback",
        "addr_info": [
            {"local": "127.0.0.1", "prefixlen": 8, "scope": "host"},
            {"local": "192.0.2.80", "prefixlen": 32, "scope": "global"},
        ],
    },
    {
        "ifname": "eth0", "link_type": "ether",
        "addr_info": [
            {"local": "192.0.2.2", "prefixlen": 24, "scope": "global"},
            {"local": "fe80::2", "prefixlen": 64, "scope": "link"},
        ],
    },
    {
        "ifname": "dummy0", "link_type": "ether", "linkinfo": {"info_kind": "dummy"},
        "addr_info": [{"local": "192.168.42.43", "prefixlen": 32, "scope": "global"}],
    },
]  # fmt: skip
CONFIGURATION = """\
global
    log /dev/log local0

frontend main
    bind 192.168.42.43:80
"""
OS_RELEASE = 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'


def process(pid: int, *words: str, parent: int = 1, user: int = 0, nofile: str = "200000") -> str:
    """Return a line of services.PROCESSES."""
    arguments = base64.b64encode("".join(f"{word}\0" for word in words).encode()).decode()
    return f"{pid} {parent} {user} {nofile} {arguments}\n"


RUNNING = ("/usr/sbin/haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg", "-p", "/run/haproxy.pid",
           "-S", "/run/haproxy-master.sock")  # fmt: skip


@dataclass
class MadeUpHost(Remote):
    """A Remote that is asked without a shell."""

    files: dict[str, str] = field(
        default_factory=lambda: {
            "/etc/haproxy/haproxy.cfg": CONFIGURATION,
            "/etc/default/haproxy": 'EXTRAOPTS="-S /run/haproxy-master.sock"\n',
        }
    )
    facts: dict[str, str] = field(
        default_factory=lambda: {
            "release": "6.1.0-28-amd64\n",
            "machine": "x86_64\n",
            "architecture": "amd64\n",
            "system": OS_RELEASE,
            "package": "installed 2.6.12-1+deb12u1",
            "version": "HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/\n",
            "unit": UNIT,
            "main": "412\n",
            "processes": process(412, *RUNNING) + process(414, *RUNNING, parent=412, user=105),
            "sysctls": "/proc/sys/net/core/somaxconn:4096\n",
            "addresses": json.dumps(ADDRESSES),
        }
    )
    denied: tuple[str, ...] = ()

    def ask(self, commands: Mapping[str, str]) -> dict[str, Answer]:
        assert commands == FACTS
        lack = Answer(problem="is not there")
        return {name: Answer(self.facts[name]) if name in self.facts else lack for name in commands}

    def read(self, paths: Iterable[str]) -> dict[str, Answer]:
        return {path: self._at(path) for path in paths}

    def count(self, paths: Iterable[str]) -> dict[str, Answer]:
        answers = {path: self._at(path) for path in paths}
        return {
            path: replace(each, text=str(len(re.findall(r"(?m)^\s*[^\s#]", each.text))))
            for path, each in answers.items()
        }

    def _at(self, path: str) -> Answer:
        if path in self.denied:
            return Answer(problem="Permission denied")
        if path in self.files:
            return Answer(self.files[path])
        inside = {
            file.removeprefix(f"{path}/").partition("/")[0]
            for file in self.files
            if file.startswith(f"{path}/")
        }
        return (
            Answer(names=tuple(sorted(inside)))
            if inside
            else Answer(problem="No such file or directory")
        )


def shell(script: str) -> bytes:
    """Run a script as a Remote does, on this host, and return its output."""
    return subprocess.run(
        ["sh", "-s"], input=script.encode(), capture_output=True, check=True
    ).stdout
