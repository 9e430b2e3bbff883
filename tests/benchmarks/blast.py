"""A publisher that costs next to nothing: PUBLISH packets made beforehand, written by the chunk.

    python -m tests.benchmarks.blast PORT MESSAGES RATE BANKS

Plays ``BANKS`` banks' states, in turn, over one connection at QoS 1, at most ``RATE`` a second
(0: as fast as the broker takes them), never more than a window ahead of the broker's
acknowledgements, so that nothing is dropped on the way. Prints when it began (milliseconds
since the epoch) and the seconds that it took.
"""

import socket
import struct
import sys
import time

WINDOW = 1_000
"""Messages ahead of the broker's acknowledgements."""
CHUNK = 50
"""Messages in one write."""
UP_FROM = 600_000
"""``up_ms`` of a bank at the moment the run begins."""


def packet(kind: int, body: bytes) -> bytes:
    """An MQTT packet: fixed header and body."""
    length, size = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        size += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind]) + size + body


def text(value: str) -> bytes:
    """An MQTT string."""
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def state(bank: int, seq: int, *, boot: int, started_ms: int) -> bytes:
    """One bank's state, as a simulated bank would send it; ``up_ms`` tells when it left."""
    up_ms = round(time.time() * 1000) - started_ms + UP_FROM
    return (
        b'{"boot":%d,"seq":%d,"up_ms":%d,"battery":%d,"lock":"locked","lock_ms":0,'
        b'"output":"off","output_ms":0,"plugged":false,"plugged_ms":0,"sessions":4,"on_s":3600,'
        b'"energy_mwh":12000,"last_command":null,"faults":[],"temp_c":24.5,"voltage_mv":3900}'
        % (boot, seq, up_ms, 60 + (bank + seq) % 2)
    )


def main(port: int, messages: int, rate: int, banks: int) -> None:
    """Connect, publish, wait for the last acknowledgement."""
    peer = socket.create_connection(("127.0.0.1", port))
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.sendall(packet(0x10, text("MQTT") + b"\x04\x02\x00\x00" + text("blast")))
    peer.recv(4)
    topics = [text(f"lw/v1/LW-{bank:05}/state") for bank in range(banks)]
    started_ms = round(time.time() * 1000)
    boot = started_ms // 1000 % 1_000_000
    began = time.perf_counter()
    acked = 0.0
    for first in range(0, messages, CHUNK):
        chunk = bytearray()
        for number in range(first, min(first + CHUNK, messages)):
            bank, seq = number % banks, number // banks
            mid = struct.pack("!H", number % 60_000 + 1)
            body = state(bank, seq, boot=boot, started_ms=started_ms)
            chunk += packet(0x32, topics[bank] + mid + body)
        peer.sendall(chunk)
        while first + CHUNK - acked > WINDOW:
            acked += len(peer.recv(65_536)) / 4
        ahead_s = first / rate - (time.perf_counter() - began) if rate else 0
        if ahead_s > 0:
            time.sleep(ahead_s)
    while acked < messages:
        acked += len(peer.recv(65_536)) / 4
    print(started_ms, f"{time.perf_counter() - began:.3f}")
    peer.sendall(b"\xe0\x00")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:5]))
