"""The lecture's file client: asks for file names, and sends every file over the one connection."""
import socket
import sys

# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 8080)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))

sock = socket.socket(family, socket.SOCK_STREAM)
sock.connect(address)
while True:
    try:
        filename = input("Input filename you want to send: ")
    except EOFError:
        break
    try:
        with open(filename, "rb") as fi:
            data = fi.read(65536)
            while data:
                sock.sendall(data)
                data = fi.read(65536)
    except IOError:
        print("You entered an invalid filename! Please enter a valid name")
sock.close()
