"""A wire with delay, loss and a rate between two TAP devices, for kernels without netem.

Usage: wire.py DEVICE DEVICE. Each line on stdin, "DELAY LOSS RATE" (seconds each way, fraction, bytes a second or 0 for
any), takes effect at once and is answered with "ok". Ends when stdin does.
"""

import collections
import fcntl
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP_WITHOUT_HEADER = 0x0002 | 0x1000
# What a port of a cheap switch holds. More would be bufferbloat, which no test asks for.
QUEUE_BYTES = 512 * 1024


def open_tap(name):
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_WITHOUT_HEADER))
    return device


class Direction:
    """Frames on their way from one end to the other."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.waiting, self.idle_at = collections.deque(), 0.0

    def take(self, delay, loss, rate):
        for _ in range(64):
            try:
                frame = os.read(self.source, 65536)
            except BlockingIOError:
                return
            now = time.monotonic()
            backlog = max(0.0, self.idle_at - now) * rate
            if backlog > QUEUE_BYTES or (loss > 0 and random.random() < loss):
                continue
            if rate > 0:
                self.idle_at = max(now, self.idle_at) + len(frame) / rate
                now = self.idle_at
            self.waiting.append((now + delay, frame))

    def give(self):
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            frame = self.waiting.popleft()[1]
            try:
                os.write(self.sink, frame)
            except OSError:
                pass  # An end that is down loses what arrives, as a real one does.


def main():
    first, second = open_tap(sys.argv[1]), open_tap(sys.argv[2])
    ways = {first: Direction(first, second), second: Direction(second, first)}
    delay = loss = rate = 0.0
    print("ready", flush=True)
    while True:
        due = min((way.waiting[0][0] for way in ways.values() if way.waiting), default=None)
        pause = None if due is None else max(0.0, due - time.monotonic())
        readable = select.select([0, first, second], [], [], pause)[0]
        for source in readable:
            if source == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                delay, loss, rate = map(float, line.split())
                print("ok", flush=True)
            else:
                ways[source].take(delay, loss, rate)
        for way in ways.values():
            way.give()


main()
