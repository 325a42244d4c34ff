#!/bin/sh
# {{ description }} ({{ id }})
#
{% if "upgrade" in verbs %}
# Usage, as root: ./run.sh HAPROXY NEW
#
# HAPROXY is the binary, NEW the one to which it is upgraded.{% else %}
# Usage, as root: ./run.sh [HAPROXY]
#
# HAPROXY is the binary, by default the one in $PATH.{% endif %} The script needs ip, curl{{ ", python3" if keep_alive }} and socat. It runs in
# a network namespace of its own; HERE=1 keeps it in the present one, as in a container.
# A line per step goes to standard output; the logs and every request are in ./seen.
set -eu

haproxy=$(command -v -- "${1:-haproxy}") || { echo "run.sh: ${1:-haproxy} is not there" >&2; exit 2; }
haproxy=$(readlink -f "$haproxy")
{% if "upgrade" in verbs %}
new=$(readlink -f "${2?run.sh: the binary to which HAProxy is upgraded is not given}")
{% endif %}
[ "$(id -u)" = 0 ] || { echo "run.sh: needs root" >&2; exit 2; }
if [ -z "${HERE-}" ]; then
    exec env HERE=1 unshare --net --pid --fork --kill-child --mount-proc "$0" "$haproxy"{{ ' "$new"' if "upgrade" in verbs }}
fi
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin:/sbin

now() { date +%s.%N; }
say() { echo "$(awk "BEGIN {printf \"%6.2f\", $(now) - $start}")  $*"; }

clean() {
    trap - EXIT INT TERM
    rm -f seen/watched
    # shellcheck disable=SC2046
    kill -9 $(jobs -p) $(cat seen/pid 2>/dev/null) 2>/dev/null || :
{% for link in interfaces %}
    ip link delete {{ link.name }} 2>/dev/null || :
{% endfor %}
}

make_link() { # NAME KIND
    if [ "$2" = dummy ] && ip link add "$1" type dummy 2>/dev/null; then
        :
    else
        [ "$2" = veth ] || echo "This kernel has no dummy module: $1 is one end of a veth pair."
        ip link add "$1" type veth peer name "peer-$1"
        ip link set "peer-$1" up
    fi
    ip link set "$1" up
}

occupy() { # PLACE
    socat -u "$1,fork" OPEN:/dev/null &
    occupier=$!
}

free() { kill "$occupier"; }

ask() { # FILE OPTIONS… URL
    file=$1
    shift
    curl --silent --output "$file" --max-time 5 --noproxy '*' --insecure "$@"
}

# Notes when a request began and how curl ended.
request() { # LABEL OPTIONS… URL
    label=$1 at=$(now)
    shift
    ask /dev/null "$@" && code=0 || code=$?
    echo "$at $label $code" >>seen/requests
}

# Begins ten requests a second, whatever becomes of those before.
watch_address() { # LABEL OPTIONS… URL
    while [ -e seen/watched ]; do
        request "$@" &
        sleep 0.1
    done
    wait
}

check_address() { # LABEL OPTIONS… URL
    label=$1
    shift
    if ask seen/body "$@"; then
        echo "        $label: $(head -c 60 seen/body | tr -d '\r' | head -n 1)"
    else
        echo "        $label: *** failed *** (curl: exit code $?)"
    fi
}

# HAProxy tries for two seconds to bind what it cannot; all has settled a little later.
settle() { sleep 4; }

# Before HAProxy tries again and again, it has the old process pause its listeners.
wait_until_retrying() {
    for _ in $(seq 100); do
        ! tail -c "+$logged" seen/haproxy.log | grep -Eq 'Paus(ing|ed) ' || return 0
        sleep 0.02
    done
}

launch() {
    "$haproxy" "$@" -f haproxy.cfg -p seen/pid {{ arguments }} >>seen/haproxy.log 2>&1 &
}

start() { # NAME
    cp "$1.cfg" haproxy.cfg
    say "start $1"
    rm -f seen/pid
    launch {{ mode }}
{% if method in ("signal", "systemd") %}
    master=$!
{% endif %}
    for _ in $(seq 100); do
{% if "stop" in verbs %}
        [ ! -s seen/pid ] || { echo "$(now) resume" >>seen/requests; return 0; }
{% else %}
        [ ! -s seen/pid ] || return 0
{% endif %}
        sleep 0.05
    done
    echo "run.sh: HAProxy did not start:" >&2
    tail -n 5 seen/haproxy.log >&2
    return 1
}
{% if "stop" in verbs or "restart" in verbs %}

stop() {
    say stop
    # shellcheck disable=SC2046
    kill $(cat seen/pid)
    # shellcheck disable=SC2046
    while kill -0 $(cat seen/pid) 2>/dev/null; do sleep 0.02; done
}
{% endif %}
{% if "restart" in verbs %}

restart() { # NAME
    echo "$(now) reload $1" >>seen/requests
    stop
    start "$1"
}
{% endif %}
{% if "second" in verbs %}

second() { # NAME
    say "second $1"
    "$haproxy" -db -f "$1.cfg" >>seen/second.log 2>&1 &
}
{% endif %}
{% if "upgrade" in verbs %}

upgrade() {
    say upgrade
    cp "$new" seen/haproxy.new
    mv seen/haproxy.new seen/haproxy
}
{% endif %}
{% if "ask" in verbs %}

ask_haproxy() { # SOCKET COMMAND
    say "ask $2"
    echo "$2" | socat -t 5 - "UNIX-CONNECT:$1" || :
}
{% endif %}
{% if "run" in verbs %}

run_command() { # COMMAND
    say "run $1"
    PID=$(cat seen/pid) sh -c "$1" || echo "        it exited with status $?"
}
{% endif %}
{% if "drop" in verbs %}

table_of() { # ADDRESS
    echo "inet dropped_$(echo "$1" | tr .: __)"
}

drop_packets() { # ADDRESS
    say "drop $1"
    case $1 in *:*) family=ip6 ;; *) family=ip ;; esac
    nft "add table $(table_of "$1")"
    for hook in input output; do
        nft "add chain $(table_of "$1") $hook { type filter hook $hook priority 0; }"
        nft "add rule $(table_of "$1") $hook $family saddr $1 drop"
        nft "add rule $(table_of "$1") $hook $family daddr $1 drop"
    done
}

pass_packets() { # ADDRESS
    say "pass $1"
    nft "delete table $(table_of "$1")"
}
{% endif %}

reload() { # NAME
    cp "$1.cfg" haproxy.cfg
    say "reload $1"
    logged=$(wc -c <seen/haproxy.log)
    echo "$(now) reload $1" >>seen/requests
{% if method == "signal" %}
    kill -USR2 "$master"
{% elif method == "cli" %}
    echo reload | socat -t 30 - UNIX-CONNECT:seen/master.sock >>seen/answers 2>&1 &
{% elif method == "systemd" %}
    # As the packaged unit does it: a configuration that is not valid is never loaded.
    "$haproxy" -c -q -f haproxy.cfg || { echo "        the check of the configuration failed"; return 0; }
    kill -USR2 "$master"
{% else %}
    # shellcheck disable=SC2046
    launch {{ mode }} {{ takeover }}{{ " " if takeover }}-sf $(cat seen/pid)
{% endif %}
}

judge() {
    sort -n seen/requests | awk '
        $2 == "reload" { reloaded = 1; next }
{% if "stop" in verbs %}
        $2 == "pause" { paused = 1; next }
        $2 == "resume" { paused = 0; next }
        paused { good[$2] = $1; row[$2] = 0; next }
{% endif %}
        !reloaded || !index(" {{ expected | join(" ") }} ", " " $2 " ") { if (!reloaded && $3 == 0) good[$2] = $1; next }
        { count[$2]++ }
        $3 == 0 { good[$2] = $1; row[$2] = 0 }
        $3 != 0 {
            lost[$2]++; row[$2]++; kinds[$2 " " $3] = 1
            if (row[$2] > 1 && $1 - good[$2] > longest[$2]) longest[$2] = $1 - good[$2]
        }
        END {
            for (label in count) {
                verdict = row[label] > 1 ? "down" : longest[label] ? sprintf("outage %.1f s", longest[label]) : lost[label] ? "lossy" : "ok"
                printf "%s: %s; %d of %d requests failed\n", label, verdict, lost[label], count[label]
            }
        }
    ' | sort
}

rm -rf seen
mkdir seen
touch seen/watched
{% if "upgrade" in verbs %}
cp "$haproxy" seen/haproxy
haproxy=$PWD/seen/haproxy
{% endif %}

start=$(now)
trap clean EXIT
trap 'exit 130' INT TERM

ip link set lo up
{% for name, value in sysctls %}
[ "$(sysctl -n {{ name }})" = {{ value }} ] || sysctl -qw {{ name }}={{ value }}
{% endfor %}
{% if nofile %}
ulimit -n {{ nofile }}
{% endif %}
{% for link in interfaces %}
make_link {{ link.name }} {{ link.kind }}
{% for address in link.addresses %}
ip address add {{ address }} dev {{ link.name }}{{ " nodad" if ":" in address }}
{% endfor %}
{% endfor %}

{% for line in steps %}
{{ line }}
{% endfor %}

settle

rm seen/watched
sleep 5
echo
"$haproxy" -v | head -n 1
uname -sr
judge
{% if keep_alive %}
echo
echo "Requests on kept connections:"
awk '
    { count[$2]++ }
    $3 != 0 { lost[$2]++ }
    END { for (label in count) printf "%s: %d of %d failed\n", label, lost[label], count[label] }
' seen/kept | sort
{% endif %}
