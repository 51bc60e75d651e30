"""The lecture's greeter in a loop, without its output for each connection: greeter.py PORT."""
import socket
import sys

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
# With the lecture's backlog of 5 the clients would wait.
s.listen(128)
while True:
    c, addr = s.accept()
    c.sendall("Thank you for connecting".encode())
    c.close()
