"""What systemd is told of the daemon."""

import os
import socket


def notify_systemd(message: str) -> None:
    """Send one sd_notify message; without systemd there is nobody to send it to."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect("\0" + address[1:] if address.startswith("@") else address)
        notify.send(message.encode())
