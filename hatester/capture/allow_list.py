"""The allow-list: the directives of HAProxy that a copy keeps, each with the form of its values.

The words are those of HAProxy's configuration manual (2.2 to 3.4, sections 3 to 12), and of the
lists that HAProxy prints (`haproxy -dKcfg,srv,bind`). The notation is the manual's:

    a|b         one of these words
    <form>      a value of a form (`value_forms.py`); with a `+`, one or more of them
    {options}   any of a set of options, in any order
    ...         further words, which are left out

A line that does not match is left out. Rules, ACLs, headers, texts, users and
programs have no line here.
"""

from __future__ import annotations

GLOBAL = """
busy-polling|daemon|expose-deprecated-directives|expose-experimental-directives|limited-quic
no-memory-trimming|no-quic|noepoll|noevports|nogetaddrinfo|nokqueue|nopoll|noreuseport|nosplice
pp2-never-send-local|prealloc-fd|quiet|set-dumpable
chroot <chroot>
close-spread-time|force-cfg-parser-pause|grace|hard-stop-after|warn-blocked-traffic-after <time>
cpu-map <cpus>+
cpu-policy none|efficiency|first-usable-node|group-by-ccx|group-by-cluster|performance|resource
cpu-set reset
cpu-set drop-cpu|drop-cluster|drop-core|drop-node|drop-thread <cpus>
cpu-set only-cluster|only-core|only-cpu|only-node|only-thread <cpus>
dns-accept-family auto|ipv4|ipv6
fd-hard-limit|max-threads-per-group|maxcompcpuusage|maxcomprate|maxconn|maxconnrate <number>
maxpipes <number>
maxsessrate|maxsslconn|maxsslrate|maxzlibmem|mworker-max-reloads|nbproc|nbthread <number>
ssl-security-level|spread-checks|thread-groups|thread-hard-limit|ulimit-n <number>
gid|uid <number>
group|user <account>
harden.reject-privileged-ports.quic|harden.reject-privileged-ports.tcp on|off
localpeer <peer>
log <logger> {log}
master-worker
master-worker no-exit-on-failure
max-spread-checks <time>
numa-cpu-mapping
setcap <capabilities>
ssl-default-bind-options {bind}
ssl-default-server-options {server}
ssl-server-verify none|required
stats socket <address> {bind}
stats maxconn <number>
stats timeout <time>
strict-limits
thread-group <number> <cpus>
unix-bind {bind}
tune.applet.zero-copy-forwarding|tune.buffers.limit|tune.buffers.reserve|tune.bufsize <value>
tune.bufsize.large|tune.bufsize.small|tune.comp.maxlevel|tune.disable-zero-copy-forwarding <value>
tune.epoll.mask-events|tune.events.max-events-at-once|tune.fd.edge-triggered <value>
tune.h1.be.glitches-threshold|tune.h1.fe.glitches-threshold|tune.h2.be.glitches-threshold <value>
tune.h2.be.initial-window-size|tune.h2.be.max-concurrent-streams|tune.h2.be.rxbuf <value>
tune.h2.fe.glitches-threshold|tune.h2.fe.initial-window-size <value>
tune.h2.fe.max-concurrent-streams|tune.h2.fe.max-total-streams <value>
tune.h2.fe.rxbuf|tune.h2.header-table-size <value>
tune.h2.initial-window-size|tune.h2.max-concurrent-streams|tune.h2.max-frame-size <value>
tune.http.cookielen|tune.http.logurilen|tune.http.maxhdr|tune.idle-pool.shared <value>
tune.idletimer <value>
tune.listener.default-shards by-process|by-thread|by-group
tune.listener.multi-queue on|off|fair
tune.max-checks-per-thread|tune.maxaccept|tune.maxpollevents|tune.maxrewrite <value>
tune.memory.hot-size|tune.notsent-lowat.client|tune.notsent-lowat.server <value>
tune.pattern.cache-size|tune.peers.max-updates-at-once|tune.pipesize|tune.pool-high-fd-ratio <value>
tune.pool-low-fd-ratio|tune.quic.frontend.max-idle-timeout <value>
tune.quic.frontend.max-streams-bidi <value>
tune.quic.max-frame-loss|tune.quic.retry-threshold|tune.rcvbuf.backend|tune.rcvbuf.client <value>
tune.quic.listen on|off
tune.quic.socket-owner connection|listener
tune.rcvbuf.frontend|tune.rcvbuf.server|tune.recv_enough|tune.renice.runtime <value>
tune.renice.startup|tune.ring.queues|tune.runqueue-depth|tune.sched.low-latency <value>
tune.sndbuf.backend|tune.sndbuf.client|tune.sndbuf.frontend|tune.sndbuf.server <value>
tune.ssl.cachesize|tune.ssl.capture-buffer-size|tune.ssl.default-dh-param|tune.ssl.lifetime <value>
tune.ssl.maxrecord|tune.ssl.ssl-ctx-cache-size|tune.stick-counters <value>
tune.vars.global-max-size|tune.vars.proc-max-size|tune.vars.reqres-max-size <value>
tune.vars.sess-max-size|tune.vars.txn-max-size <value>
tune.ssl.force-private-cache
"""

PROXY = """
backlog|fullconn|max-keep-alive-queue|maxconn|retries <number>
balance roundrobin|static-rr|leastconn|first|source|random|sticky|uri ...
bind <addresses> {bind}
bind-process <threads>+
clitcpka-cnt|srvtcpka-cnt|hash-balance-factor|id <number>
clitcpka-idle|clitcpka-intvl|srvtcpka-idle|srvtcpka-intvl|grace <time>
clitimeout|contimeout|srvtimeout <time>
default-server {server}
default_backend <backend>
disabled|enabled
dispatch <address>
hash-type {hash}
http-reuse never|safe|aggressive|always
log
log <logger> {log}
mode http|tcp|health|log|spop|haterm
option abortonclose|accept-invalid-http-request|accept-invalid-http-response|allbackups|checkcache
option accept-unsafe-violations-in-http-request|accept-unsafe-violations-in-http-response
option clitcpka|contstats|disable-h2-upgrade|dontlog-normal|dontlognull|forceclose
option http-buffer-request
option http-drop-request-trailers|http-drop-response-trailers|http-ignore-probes|http-keep-alive
option http-no-delay|http-pretend-keepalive|http-server-close|http-tunnel|http-use-htx|httpclose
option http-use-proxy-header|httpslog|idle-close-on-response|independent-streams|independant-streams
option ldap-check|log-health-checks|log-separate-errors|logasap|nolinger|persist|prefer-last-server
option redis-check|socket-stats|splice-auto|splice-request|splice-response|spop-check|srvtcpka
option ssl-hello-chk|tcp-check|tcp-smart-accept|tcp-smart-connect|tcpka|tcplog|transparent
option forwardfor|httpchk|httplog|mysql-check|redispatch|smtpchk ...
option pgsql-check user <account>
rate-limit sessions <number>
redispatch
retry-on {retry}
server <server> <address> {server}
server-template <template> <range> <address> {server}
source <address> {source}
stick-table {table}
timeout check|client|client-fin|client-hs|connect|http-keep-alive|http-request|queue <time>
timeout server|server-fin|tarpit|tunnel <time>
transparent
"""

SECTIONS: dict[str, tuple[str, str]] = {
    "global": ("global ...", GLOBAL),
    "defaults": ("defaults\ndefaults <defaults>\ndefaults <defaults> from <defaults>", PROXY),
    "frontend": ("frontend <frontend>\nfrontend <frontend> from <defaults>", PROXY),
    "backend": ("backend <backend>\nbackend <backend> from <defaults>", PROXY),
    "listen": ("listen <backend>\nlisten <backend> from <defaults>", PROXY),
    "cache": ("cache <cache>", """
        max-age|max-object-size|max-secondary-entries|total-max-size <number>
        process-vary on|off
        """),
    "crt-store": ("crt-store\ncrt-store <store>", """
        load ...
        """),
    "log-forward": ("log-forward <log>", """
        backlog|maxconn <number>
        bind <addresses> {bind}
        dgram-bind <addresses> {bind}
        log <logger> {log}
        option assume-rfc6587-ntf|dont-parse-log
        timeout client <time>
        """),
    "peers": ("peers <peers>", """
        bind <addresses> {bind}
        default-bind {bind}
        default-server {server}
        disabled|enabled
        log <logger> {log}
        peer <peer>
        peer <peer> <endpoint> {server}
        server <peer> <endpoint> {server}
        server <peer> {server}
        shards <number>
        table <table> {table}
        """),
    "resolvers": ("resolvers <resolvers>", """
        accepted_payload_size|resolve_retries <number>
        hold nx|obsolete|other|refused|timeout|valid <time>
        nameserver <nameserver> <address> ...
        parse-resolv-conf
        timeout resolve|retry <time>
        """),
    "ring": ("ring <ring>", """
        format iso|local|priority|raw|rfc3164|rfc5424|short|timed
        maxlen <number>
        server <server> <address> {server}
        size <value>
        timeout connect|server <time>
        """),
}  # fmt: skip
"""By the word that begins a section: its first line, and the lines in it."""

_TLS = """
allow-0rtt|force-sslv3|force-tlsv10|force-tlsv11|force-tlsv12|force-tlsv13|no-sslv3|no-tlsv10
no-tlsv11|no-tlsv12|no-tlsv13|no-tls-tickets|tls-tickets
alpn|npn <protocols>
ca-file <authorities>
crl-file <revocations>
ktls on|off
ssl-max-ver|ssl-min-ver SSLv3|TLSv1.0|TLSv1.1|TLSv1.2|TLSv1.3
verify none|optional|required
- ciphers ciphersuites client-sigalgs curves sigalgs ecdhe
-- renegotiate no-renegotiate
"""

OPTIONS: dict[str, str] = {
    "bind": _TLS
    + """
        accept-proxy|defer-accept|no-alpn|no-ca-names|no-strict-sni|prefer-client-ciphers|prefer-server-ciphers
        quic-force-retry|ssl|strict-sni|tfo|transparent|v4v6|v6only
        accept-netscaler-cip|backlog|gid|id|maxconn|mss|nbconn|nice|tcp-ss|uid <number>
        ca-verify-file <authorities>
        cc bbr|cubic|dctcp|reno|vegas|westwood
        crt|default-crt <certificate>
        crt-list <list>
        expose-fd listeners
        group|user <account>
        idle-ping|tcp-ut <time>
        interface <interface>
        level admin|operator|user
        mode <number>
        process|thread <threads>
        proto h1|h2|quic
        quic-cc-algo bbr|cubic|newreno|nocc
        quic-socket connection|listener
        severity-output none|number|string
        shards <shards>
        tls-ticket-keys <tickets>
        - name namespace label guid-prefix tcp-md5sig ca-ignore-err crt-ignore-err prefix
        - ca-sign-file ca-sign-pass ocsp-update
        -- generate-certificates
        """,
    "server": _TLS
    + """
        agent-check|backup|check|check-reuse-pool|check-send-proxy|check-ssl|check-via-socks4|disabled|enabled
        no-agent-check|no-backup|no-check|no-check-reuse-pool|no-check-send-proxy|no-check-ssl|no-send-proxy
        no-send-proxy-v2|no-send-proxy-v2-ssl|no-send-proxy-v2-ssl-cn|no-ssl|no-ssl-reuse|no-tfo
        no-sni-auto|no-check-sni-auto|non-stick|send-proxy|send-proxy-v2|send-proxy-v2-ssl
        send-proxy-v2-ssl-cn|ssl|ssl-reuse|stick|strict-maxconn|tfo
        addr|agent-addr|socks4|source <address>
        agent-inter|downinter|fastinter|idle-ping|inter|pool-purge-delay|slowstart|tcp-ut <time>
        agent-port|error-limit|fall|id|log-bufsize|max-reuse|maxconn|maxqueue|minconn <number>
        pool-low-conn|pool-max-conn|port|rise|shard|weight <number>
        cc bbr|cubic|dctcp|reno|vegas|westwood
        check-alpn <protocols>
        check-proto|proto h1|h2|quic
        crt <certificate>
        hash-key addr|addr-port|id
        init-addr <initial>
        init-state fully-down|fully-up|down|up
        interface <interface>
        log-proto legacy|octet-count
        observe layer4|layer7
        on-error fail-check|fastinter|mark-down|sudden-death
        on-marked-down shutdown-sessions
        on-marked-up shutdown-backup-sessions
        quic-cc-algo bbr|cubic|newreno|nocc
        resolve-opts <resolution>
        resolve-prefer ipv4|ipv6
        resolvers <resolvers>
        track <tracked>
        usesrc client|clientip
        ws auto|h1|h2
        - agent-send cookie check-sni sni verifyhost guid namespace redir resolve-net pool-conn-name
        - check-pool-conn-name healthcheck proxy-v2-options set-proxy-v2-tlv-fmt tcp-md5sig
        """,
    "retry": """
        0rtt-rejected|all-retryable-errors|conn-failure|empty-response|junk-response|none
        response-timeout|401|403|404|408|421|425|429|500|501|502|503|504
        """,
    "source": """
        interface <interface>
        usesrc client|clientip
        """,
    "log": """
        alert|auth|auth2|authpriv|crit|cron|cron2|daemon|debug|emerg|err|ftp|info|kern|lpr|mail|news|notice
        local0|local1|local2|local3|local4|local5|local6|local7|audit|syslog|user|uucp|warning|ntp
        format iso|local|priority|raw|rfc3164|rfc5424|short|timed
        len <number>
        - sample profile
        """,
    "hash": """
        avalanche|consistent|crc32|djb2|map-based|none|sdbm|wt6
        """,
    "table": """
        nopurge|recv-only
        brates-factor <number>
        expire <time>
        len <number>
        peers <peers>
        size <value>
        srvkey addr|name
        store <stored>
        type binary|integer|ip|ipv6|string
        write-to <written>
        """,
    "certificate": _TLS
    + """
        ca-verify-file <authorities>
        - ocsp-update
        """,
}
"""Sets of options. Those after a `-` are left out with their value, those after `--` have none: the
words that follow an option are understood only if it is known how many values it has."""

RULES = """
acl addr appsession block capture clitcpka-cnt command compression cookie declare description
dynamic-cookie-key email-alert errorfile errorfiles errorloc errorloc302 errorloc303
external-check filter force-be-switch force-persist guid http-after-response http-check
http-error http-request http-response ignore-persist load-server-state-from-file log-format
log-format-sd log-stderr log-steps log-tag mailer monitor monitor-net monitor-uri on persist
quic-initial redirect reqadd reqallow reqdel reqdeny reqidel reqideny reqirep reqisetbe reqrep
rspadd rspdel rspdeny rspidel rspirep rsprep server-state-file-name ssl-f-use stats stick
tcp-check tcp-request tcp-response unique-id-format unique-id-header use-fcgi-app use-server
use_backend 51degrees-data-file acme.scheduler anonkey ca-base cluster-secret crt-base
default-path deviceatlas-json-file h1-case-adjust h1-case-adjust-file http-err-codes
http-fail-codes httpclient.ssl.ca-file insecure-fork-wanted insecure-setuid-wanted
issuers-chain-path key-base log-send-hostname lua-load lua-load-per-thread lua-prepend-path node
ocsp-update.mode pidfile presetenv profiling.tasks profiling.memory resetenv server-state-base
server-state-file set-var set-var-fmt setenv shm-stats-file ssl-default-bind-ciphers
ssl-default-bind-ciphersuites ssl-default-bind-curves ssl-default-server-ciphers
ssl-default-server-ciphersuites ssl-dh-param-file ssl-engine ssl-load-extra-files ssl-mode-async
ssl-provider unsetenv wurfl-data-file zero-warning acme fcgi-app healthcheck http-errors
log-profile mailers namespace_list program traces userlist docroot group index log-stderr option
pass-header path-info set-param trace user .alert .diag .notice .warning
"""
"""Directives that are left out, by whose names a report counts them. Any other is `other`."""
