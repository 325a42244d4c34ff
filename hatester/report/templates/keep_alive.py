"""Keep a connection to an address for the next request, as browsers and load balancers do.

Usage: keep_alive.py LABEL HOST PORT INTERVAL LATENCY, until the file seen/watched is gone.

A request is sent every INTERVAL seconds. The end of an idle connection is noticed after LATENCY
seconds, the time of the way to HAProxy and back. A line goes to standard output for each request:
its time and LABEL, then 0 or the name of the error by which it was lost.
"""

import http.client
import os
import pathlib
import select
import sys
import time


def main(label: str, host: str, port: str, interval: str, latency: str) -> None:
    """Ask again and again."""
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    while pathlib.Path("seen/watched").exists():
        time.sleep(float(interval) - float(latency))
        if connection.sock and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
        time.sleep(float(latency))
        sent, end = time.time(), "0"
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            end = type(error).__name__
        # One system call, so that lines of several clients stay apart.
        os.write(1, f"{sent:.6f} {label} {end}\n".encode())


main(*sys.argv[1:])
