"""The lecture's file server: `file_server.py N ...` stores what each of N clients sends until it closes."""
import socket
import sys
import threading

clients = int(sys.argv.pop(1)) if len(sys.argv) > 1 else 1
# Where: nothing (the lecture's address), or  inet HOST PORT | inet6 HOST PORT | unix PATH
family, address = socket.AF_INET, ("127.0.0.1", 8080)
if len(sys.argv) > 1:
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}[sys.argv[1]]
    address = sys.argv[2] if family == socket.AF_UNIX else (sys.argv[2], int(sys.argv[3]))

s = socket.socket(family, socket.SOCK_STREAM)
if family != socket.AF_UNIX:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(address)
s.listen(clients)
print("Waiting for clients on", s.getsockname(), flush=True)

fileno = 0
lock = threading.Lock()


def receive(conn):
    global fileno
    data = conn.recv(1024)
    if data:
        with lock:
            filename = "output" + str(fileno) + ".txt"
            fileno = fileno + 1
        with open(filename, "wb") as fo:
            while data:
                fo.write(data)
                data = conn.recv(1024)
        print("Received successfully! New filename is:", filename, flush=True)
    conn.close()


threads = []
for i in range(clients):
    conn, _ = s.accept()
    print("Connected with client", i, flush=True)
    t = threading.Thread(target=receive, args=(conn,))
    t.start()
    threads.append(t)
for t in threads:
    t.join()
s.close()
