"""The lecture's greeter in a loop, without the line that it prints for each connection: greeter.py PORT."""
import socket
import sys

s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
# The lecture's 5 would have the clients wait for room in the queue.
s.listen(128)
while True:
    c, addr = s.accept()
    c.sendall("Thank you for connecting".encode())
    c.close()
