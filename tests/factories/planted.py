"""Secrets planted into a production host: in every place of its files, and of what it prints."""

from __future__ import annotations

import datetime
import functools
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hatester.capture.remote import Answer
from hatester.matrix.haproxy_config import words
from tests.factories.production_host import ADDRESSES, RUNNING, MadeUpHost, process

FOLDER = Path(__file__).parents[1] / "configurations"
"""Configurations as people publish them, and ones that have every section and way of writing."""
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "expected.yml").read_text())
_DIGITS = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH = 16
PART = 8
"""Characters of a secret that must not survive either."""
_SECTION = re.compile(r"^\s*(global|defaults|frontend|backend|listen|peers|resolvers)\b")
_RULES = """
    description "{} and {}"
    acl is_{} req.hdr(X-Api-Key) -m str {} # {}
    acl also src -f /etc/haproxy/{}.lst
    tcp-request content reject if {{ req.len gt 1000000 }} {{ str({}) -m str {} }}
"""
_LINES: dict[str, str] = {
    "global": """
    setenv DB_PASSWORD {}
    presetenv TOKEN "{} {}"
    description '{}'
    node {}
    log-tag {}
    stats socket /run/haproxy/{}.sock mode 600
    """,
    "frontend": _RULES,
    "backend": _RULES
    + """
    server {} 192.0.2.200:80 cookie {} # {}
    server other-{} {}.example.org:8080
    """,
    "listen": _RULES,
}
"""Lines with secrets that each HAProxy since 2.2 accepts in a section."""
_SECTIONS = """
userlist {}
    group {} users {}
    user {} insecure-password {}
mailers {}
    mailer {} 192.0.2.25:25
http-errors {}
    errorfile 503 /etc/haproxy/{}.http
resolvers {}
    nameserver {} 192.0.2.53:53
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    log-format "%ci {}"
    log-format-sd '[x@1 y="{}"]'
    unique-id-format {}
    unique-id-header X-{}
    email-alert from {}@example.org
    email-alert to {}
    monitor-uri /{}
    errorfile 500 /etc/haproxy/{}.http
frontend {}
    bind 192.0.2.201:80 name {}
    bind unix@/run/{}.sock
    bind abns@{}
    bind 192.0.2.202:443 ssl crt /etc/ssl/{}/{}.pem crt-list /etc/ssl/{}.list
    bind 192.0.2.203:443 ssl crt /etc/ssl/{}.pem ca-file /etc/{}.pem verify optional
    capture request header {} len 10
    http-request set-header Authorization "Basic {}" if {{ hdr(host) {}.example.org }}
    http-request redirect location https://u:{}@www.example.org/?token={} if {{ path_beg /{} }}
    http-request replace-header Cookie (.*) {}=\\1
    http-request set-path %[path,map(/etc/haproxy/{}.map,{})]
    http-request auth realm {} if !{{ http_auth({}) }}
    http-response add-header Set-Cookie "SID={}"
    http-response deny deny_status 500 if {{ res.hdr(X-{}) -m found }}
    use_backend b-{} if {{ ssl_fc_sni {}.example.org }}
backend b-{}
    dynamic-cookie-key {}
    cookie {} insert
    stats auth admin:{}
    stats uri /{}
    stats realm {}
    option httpchk GET /{}
    http-check send-state
    http-check expect rstring {}
    stick-table type string len 32 size 1k
    stick on req.cook({})
    default-server init-addr none
    server {} {}.internal:80 check sni str({}) resolvers {} agent-check agent-port 1 agent-send {}
    server-template {} 1-2 _{}._tcp.{}.consul:80
"""


@dataclass
class Planter:
    """Makes secrets, each one once, and remembers them."""

    seed: int
    secrets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def secret(self) -> str:
        """Return a new secret: letters and digits, which every place takes."""
        letters = "".join(self.random.choice(_DIGITS) for _ in range(_LENGTH - 1))
        self.secrets.append(f"q{letters}")
        return self.secrets[-1]

    def filled(self, template: str) -> str:
        """Return a template with a secret in each place; those of a name and its users differ."""
        return template.format(*(self.secret() for _ in range(template.count("{}"))))

    def anywhere(self, text: str) -> str:
        """Return a configuration with a secret at a random place of about half of its lines."""
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        found = words(line)
        if not found or self.random.random() < 0.5:
            return line
        word = self.random.choice(found)
        start, end = word.start, word.end
        ways: list[Callable[[], str]] = [
            lambda: line[:start] + self.secret() + line[end:],
            lambda: line[:end] + self.secret() + line[end:],
            lambda: line[:start] + self.secret() + line[start:],
            lambda: f'{line[:start]}"{self.secret()} {self.secret()}"{line[end:]}',
            lambda: f"{line[:end]} {self.secret()}{line[end:]}",
            lambda: f"{line[:end]} {self.secret()} {self.secret()}{line[end:]}",
            lambda: f"{line[:end]},{self.secret()}{line[end:]}",
            lambda: f"{line[:end]}@{self.secret()}{line[end:]}",
            lambda: f"{line[:end]}/{self.secret()}{line[end:]}",
            lambda: f"{line[:end]}({self.secret()}){line[end:]}",
            lambda: f"{line[:end]}:{self.secret()}{line[end:]}",
            lambda: f"{line[:start]}\\{line[start:end]}\\ {self.secret()}{line[end:]}",
            lambda: f"{line} # {self.secret()}",
            lambda: f"# {self.secret()}\n{line}",
            lambda: f"{self.secret()}\n{line}",
        ]
        return self.random.choice(ways)()

    def accepted(self, text: str) -> str:
        """Return a configuration with secrets where HAProxy takes them, as people have them."""
        lines = []
        for line in text.split("\n"):
            planted = re.sub(
                r"(\bcrt [\w./-]+)\.pem", lambda found: f"{found[1]}-{self.secret()}.pem", line
            )
            is_plain = not line.lstrip().startswith((".", "#")) and line.count('"') % 2 == 0
            lines.append(f"{planted} # {self.secret()}" if is_plain else planted)
            section = _SECTION.match(line)
            if section and section[1] in _LINES:
                lines += self.filled(_LINES[section[1]]).split("\n")
        return "\n".join([*lines, *self.filled(_consistent(_SECTIONS, self)).split("\n")])

    def survivors(self, texts: list[str]) -> list[str]:
        """Return the secrets of which a part is in a text."""
        written = {
            text[start : start + PART]
            for whole in texts
            for text in re.findall(rf"[a-z0-9]{{{PART},}}", whole.lower())
            for start in range(len(text) - PART + 1)
        }
        return [
            secret
            for secret in self.secrets
            if any(secret[n : n + PART] in written for n in range(_LENGTH - PART + 1))
        ]


def _consistent(template: str, planter: Planter) -> str:
    """Return a template in which a section, and what names it, have the same secret."""
    userlist, resolvers, backend = (planter.secret() for _ in range(3))
    template = template.replace("userlist {}", f"userlist {userlist}")
    template = template.replace("http_auth({})", f"http_auth({userlist})")
    user, group = planter.secret(), planter.secret()
    template = template.replace("group {} users {}", f"group {group} users {user}")
    template = template.replace("user {} insecure", f"user {user} insecure")
    template = template.replace("resolvers {}", f"resolvers {resolvers}")
    return template.replace("use_backend b-{}", f"use_backend b-{backend}").replace(
        "backend b-{}", f"backend b-{backend}"
    )


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(*names: str) -> str:
    """Return a certificate for host names, and its key, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(subject, subject, _key().public_key(), 1, now, now)
        .add_extension(x509.SubjectAlternativeName([*map(x509.DNSName, names)]), critical=False)
        .sign(_key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


class PlantedHost(MadeUpHost):
    """A host of which every file, and everything that it prints, has secrets."""

    def __init__(self, planter: Planter, configuration: str, env: dict[str, str]) -> None:
        super().__init__()
        self.planter = planter
        secret = planter.secret
        self.folders = {f"/etc/haproxy/{secret()}", "/etc/sysctl.d"}
        self.files["/etc/haproxy/haproxy.cfg"] = configuration
        self.files["/etc/default/haproxy"] = "".join(
            f"{name}={value}\n" for name, value in {**env, "TOKEN": secret()}.items()
        )
        self.files["/etc/sysctl.d/10-own.conf"] = (
            f"# {secret()}\nnet.ipv4.tcp_congestion_control = {secret()}\n{secret()}\n"
        )
        self.facts["release"] = f"6.1.0-28-amd64-{secret()}\n"
        self.facts["version"] = f"HAProxy version 3.2.1-{secret()}\n"
        self.facts["package"] = f"installed 2.6.12-1+{secret()}"
        self.facts["system"] += f"ID={secret()}\nVARIANT={secret()}\n"
        self.facts["architecture"] = f"{secret()}\n"
        self.facts["unit"] += planter.filled(
            "# /etc/systemd/system/haproxy.service.d/{}.conf\n# {}\n[Service]\n"
            "Environment=TOKEN={}\nExecStartPre=/bin/{}\nNice={}\nType={}\nLimitCORE={}\n"
        )
        self.facts["processes"] = process(
            412, *RUNNING, "-L", secret(), "-x", f"/run/{secret()}", f"-{secret()}", secret()
        )
        self.facts["sysctls"] += (
            f"/proc/sys/net/ipv4/tcp_congestion_control:{secret()}\n"
            f"/proc/sys/net/ipv4/tcp_fastopen_key:{secret()}\n"
        )
        link = {"ifname": secret()[:15], "link_type": secret(), "addr_info": [
            {"local": "192.0.2.99", "prefixlen": 24, "scope": "global", "label": secret()},
            {"local": secret(), "prefixlen": 24, "scope": "global"},
        ]}  # fmt: skip
        self.facts["addresses"] = json.dumps(
            [*ADDRESSES, {**link, "addr_info": link["addr_info"][:1]}]
        )

    def _at(self, path: str) -> Answer:
        known = super()._at(path)
        if not known.problem or path.startswith(("/etc/sysctl", "/usr", "/run/sysctl", "/lib")):
            return known
        secret = self.planter.secret
        match self.planter.random.randrange(6):
            case 0:
                return Answer(problem=f"head: cannot open {secret()}")
            case 1 if path.count("/") < 6:
                return Answer(names=(f"{secret()}.pem", secret()))
            case 2:
                names = f"{secret()}.example.org", f"{secret()}.internal"
                return Answer(f"# {secret()}\n{certificate(*names)}{secret()}")
            case 3:
                entry = "{}.pem [alpn h2 ca-file {} verify none {}] *.{}.org !{}.net {} # {}\n"
                return Answer(self.planter.filled(entry * 3))
        return Answer(self.planter.filled("{} {}\n{}\n# {}\n"))
