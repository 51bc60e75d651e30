"""The lecture's UDP client: sends one datagram, waits for one, prints it."""
import os
import socket
import sys

# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 20001)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))
bufferSize = 1024
bytesToSend = str.encode("Hello UDP Server")

UDPClientSocket = socket.socket(family, socket.SOCK_DGRAM)
if family == socket.AF_UNIX:
    # A unix datagram socket has no address to be answered at until it is bound.
    own = f"{address}.{os.getpid()}"
    UDPClientSocket.bind(own)
UDPClientSocket.sendto(bytesToSend, address)
message, _ = UDPClientSocket.recvfrom(bufferSize)
print('Message from Server "{}"'.format(message.decode()))
if family == socket.AF_UNIX:
    os.unlink(own)
