"""The lecture's chat client: says what was typed, waits for the answer, asks again."""
import socket
import sys

# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 12345)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))

client = socket.socket(family, socket.SOCK_STREAM)
client.connect(address)
while True:
    try:
        message = input("Enter your message: ")
    except EOFError:
        break
    client.send(message.encode("utf-8"))
    response = client.recv(1024).decode("utf-8")
    print(f"Server response: {response}", flush=True)
client.close()
