"""The lecture's UDP server: answers every datagram with the same words."""
import socket
import sys

# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 20001)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))
bufferSize = 1024
bytesToSend = str.encode("Hello UDP Client")

UDPServerSocket = socket.socket(family, socket.SOCK_DGRAM)
UDPServerSocket.bind(address)
print("UDP server up and listening on", UDPServerSocket.getsockname(), flush=True)

while True:
    message, address = UDPServerSocket.recvfrom(bufferSize)
    print("Message from Client:", message.decode())
    print("Client IP Address:", address, flush=True)
    UDPServerSocket.sendto(bytesToSend, address)
