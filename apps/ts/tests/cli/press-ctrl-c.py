"""Runs a command on a pseudo terminal, presses Ctrl-C when a text appears, prints what it showed and its exit status."""
import os
import pty
import signal
import sys
import time

text, presses, command = sys.argv[1].encode(), int(sys.argv[2]), sys.argv[3:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
signal.alarm(60)
shown, pressed = b"", 0
while True:
    try:
        chunk = os.read(terminal, 65536)
    except OSError:
        break
    if not chunk:
        break
    shown += chunk
    if pressed < presses and text in shown:
        if pressed:
            time.sleep(1.2)
        os.write(terminal, b"\x03")
        pressed += 1
        text = b"\n" if pressed < presses else text
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
print("\nexit", os.waitstatus_to_exitcode(status))
