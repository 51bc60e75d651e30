"""The lecture's chat server: one thread for each client, an answer to each message."""
import socket
import sys
import threading

# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 12345)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))


def handle_client(client_socket):
    while True:
        message = client_socket.recv(1024)
        if not message:
            break
        message = message.decode("utf-8")
        print(f"Received message: {message}", flush=True)
        client_socket.send(f"Server received your message: {message}".encode("utf-8"))
    print("Client left", flush=True)
    client_socket.close()


server = socket.socket(family, socket.SOCK_STREAM)
if family != socket.AF_UNIX:
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(address)
server.listen(5)
print("Server listening on", server.getsockname(), flush=True)

while True:
    client_socket, addr = server.accept()
    print(f"Accepted connection from {addr}", flush=True)
    threading.Thread(target=handle_client, args=(client_socket,), daemon=True).start()
