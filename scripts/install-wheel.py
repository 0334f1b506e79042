"""Fetches a wheel with the user's own pip, or unpacks parts of one. Ends when its parent does: stdin closes.

usage: install-wheel.py fetch PIP_ARGUMENT...
       install-wheel.py unpack WHEEL DIRECTORY PREFIX...
"""
import os
import runpy
import sys
import threading
import zipfile


def end_with_parent():
    # os.read, as a thread inside sys.stdin's lock would abort the interpreter's exit.
    while os.read(0, 1):
        pass
    os._exit(1)


def unpack(wheel, directory, prefixes):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(tuple(prefixes)):
                archive.extract(name, directory)


threading.Thread(target=end_with_parent, daemon=True).start()
mode, *arguments = sys.argv[1:]
if mode == "fetch":
    sys.argv = ["pip", "download", *arguments]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
else:
    unpack(arguments[0], arguments[1], arguments[2:])
