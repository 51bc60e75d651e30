"""The lecture's TCP client: connects, reads once, prints what it read."""
import socket
import sys

# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 12345)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))

s = socket.socket(family, socket.SOCK_STREAM)
s.connect(address)
print(s.recv(1024).decode())
s.close()
