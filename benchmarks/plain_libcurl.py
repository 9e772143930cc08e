"""What libcurl alone makes of the same pushes: a bare multi loop, no engine around it.

python -m benchmarks.plain_libcurl URL CA_FILE PUSHES
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Set

import pycurl

from benchmarks.nginx import FastPushService

_BODY = b'{"aps":{"alert":{"title":"Bench","body":"For you: round 1"},"sound":"default"}}'
_HEADERS = ["apns-topic: com.example.bench", "apns-push-type: alert", "apns-priority: 10", "content-type:", "expect:"]
_IN_FLIGHT, _CONNECTIONS = 1000, 4


def measure(service: FastPushService, *, pushes: int, cores: Set[int]) -> tuple[float, float]:
    """Wall and CPU seconds for so many pushes, in a process of its own on `cores`."""
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.plain_libcurl", service.url, str(service.ca_file), str(pushes)],
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    ).stdout
    wall, cpu = json.loads(output)
    return wall, cpu


def run(url: str, ca_file: str, pushes: int) -> tuple[float, float]:
    """Every push has a URL and an id of its own, as in the engine; answers are counted and that is all."""
    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_PIPELINING, 2)
    multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, _CONNECTIONS)
    multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, _CONNECTIONS)
    free = [_easy(ca_file) for _ in range(_IN_FLIGHT)]
    wall, cpu = time.perf_counter(), time.process_time()
    sent = done = 0
    while done < pushes:
        while free and sent < pushes:
            easy = free.pop()
            easy.setopt(pycurl.URL, f"{url}/3/device/{sent:064X}")
            easy.setopt(pycurl.HTTPHEADER, [*_HEADERS, f"apns-id: 00000000-0000-4000-8000-{sent:012x}"])
            multi.add_handle(easy)
            sent += 1
        multi.perform()
        queued = 1
        while queued:
            queued, good, bad = multi.info_read(_IN_FLIGHT)
            if bad:
                sys.exit(f"libcurl: {bad[0][2]}")
            for easy in good:
                multi.remove_handle(easy)
            free += good
            done += len(good)
        if not free:  # else there is something to send first
            multi.select(1.0)
    return time.perf_counter() - wall, time.process_time() - cpu


def _easy(ca_file: str) -> pycurl.Curl:
    easy = pycurl.Curl()
    easy.setopt(pycurl.CAINFO, ca_file)
    easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
    easy.setopt(pycurl.PIPEWAIT, 1)
    easy.setopt(pycurl.POST, 1)
    easy.setopt(pycurl.POSTFIELDS, _BODY)
    return easy


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
