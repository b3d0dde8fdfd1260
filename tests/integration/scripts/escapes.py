"""Numbered attempts of an untrusted program to escape. Each prints one line:

    NN name: refused ErrorClass errno-or-missing-name
    NN name: GOT result

The only mounts are /src (read-only) and /work (writable). /work contains links that lead out, a FIFO
and a file. A call that returns prints GOT, whatever the result; an exception is a refusal. The test
lists the expected result of each attempt.
"""

import os
import sys
import time

attempts = []


def attempt(function):
    attempts.append((function.__name__, function))
    return function


def read(path):
    with open(path, "rb") as file:
        return file.read(200)


# Paths


@attempt
def read_above_the_mount():
    return read("/work/../secret")


@attempt
def read_above_the_mount_by_descriptor():
    directory = os.open("/work", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return os.read(os.open("../secret", os.O_RDONLY, dir_fd=directory), 200)
    finally:
        os.close(directory)


@attempt
def read_through_many_dots():
    return read("/work/sub/.././sub/../../../../../../etc/passwd")


@attempt
def read_an_absolute_path():
    return read("/etc/passwd")


@attempt
def read_an_absolute_path_by_descriptor():
    directory = os.open("/work", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return os.read(os.open("//etc/passwd", os.O_RDONLY, dir_fd=directory), 200)
    finally:
        os.close(directory)


@attempt
def list_the_root():
    return sorted(os.listdir("/"))


@attempt
def list_above_by_a_link():
    return os.listdir("/work/parent")


@attempt
def list_above_by_a_link_with_a_trailing_slash():
    return os.listdir("/work/parent/")


@attempt
def read_a_file_with_a_trailing_slash():
    return read("/work/file/")


@attempt
def read_a_name_with_nul():
    return read("/work/file\0/../../secret")


@attempt
def read_a_name_of_4097_bytes():
    return read("/work/" + "a" * 4097)


@attempt
def read_a_path_of_4097_bytes():
    return read("/work/" + "a/" * 2045 + "b")


@attempt
def make_a_name_that_is_not_unicode():
    return os.open(b"/work/\xff\xfe", os.O_CREAT | os.O_WRONLY)


@attempt
def read_proc_of_this_process():
    return read("/proc/self/environ")


@attempt
def list_proc():
    return os.listdir("/proc")


@attempt
def read_the_kernel_name():
    return read("/proc/sys/kernel/hostname")


@attempt
def read_dev_random():
    return len(read("/dev/random"))


@attempt
def write_dev_mem():
    return os.open("/dev/mem", os.O_RDWR)


@attempt
def open_a_fifo():
    return os.open("/work/fifo", os.O_RDONLY)


@attempt
def change_directory_and_climb():
    os.chdir("/work")
    return read("../secret")


@attempt
def read_the_writable_mount():
    return read("/work/file")


# Links


@attempt
def follow_a_link_out():
    return read("/work/up")


@attempt
def follow_a_link_out_with_a_trailing_slash():
    return read("/work/up/")


@attempt
def follow_an_absolute_link():
    return read("/work/absolute")


@attempt
def read_the_target_of_an_absolute_link():
    return os.readlink("/work/absolute")


@attempt
def follow_a_chain_out():
    return read("/work/chain1")


@attempt
def follow_a_loop():
    return read("/work/loopa")


@attempt
def make_a_link_out_and_follow_it():
    os.symlink("../secret", "/work/made")
    return read("/work/made")


@attempt
def make_an_absolute_link():
    os.symlink("/etc/passwd", "/work/made-absolute")
    return read("/work/made-absolute")


@attempt
def write_through_a_link_out():
    with open("/work/up", "w") as file:
        return file.write("overwritten")


@attempt
def create_through_a_dangling_link_out():
    os.symlink("../created", "/work/dangling")
    return os.open("/work/dangling", os.O_CREAT | os.O_WRONLY)


@attempt
def hard_link_from_the_read_only_mount():
    return os.link("/src/kept", "/work/kept")


@attempt
def hard_link_into_the_read_only_mount():
    return os.link("/work/file", "/src/file")


@attempt
def hard_link_to_the_outside():
    return os.link("/work/../secret", "/work/secret")


@attempt
def rename_out_of_the_read_only_mount():
    return os.rename("/src/kept", "/work/kept")


@attempt
def rename_into_the_read_only_mount():
    return os.rename("/work/file", "/src/file")


@attempt
def rename_to_the_outside():
    return os.rename("/work/file", "/work/../file")


@attempt
def rename_over_a_link_out_by_its_directory():
    return os.rename("/work/file", "/work/parent/file")


# The read-only mount


@attempt
def write_to_the_read_only_mount():
    return open("/src/new", "w")


@attempt
def append_to_a_read_only_file():
    return open("/src/kept", "a")


@attempt
def truncate_a_read_only_file():
    return os.truncate("/src/kept", 0)


@attempt
def truncate_a_read_only_file_by_descriptor():
    file = os.open("/src/kept", os.O_RDONLY)
    try:
        return os.ftruncate(file, 0)
    finally:
        os.close(file)


@attempt
def set_times_of_a_read_only_file():
    return os.utime("/src/kept", (1, 1))


@attempt
def remove_a_read_only_file():
    return os.remove("/src/kept")


@attempt
def make_a_directory_in_the_read_only_mount():
    return os.mkdir("/src/sub")


@attempt
def change_the_mode_of_a_read_only_file():
    before = os.stat("/src/kept").st_mode
    os.chmod("/src/kept", 0o777)
    return "changed" if os.stat("/src/kept").st_mode != before else "nothing changed"


# Descriptors


@attempt
def find_more_descriptors_than_were_given():
    # The three streams, /src, /work, the temporary /data and /tmp, /, and the directory with CPython's
    # library.
    given, found = 3 + 5 + 1, []
    for number in range(given, 4096):
        try:
            found.append((number, os.fstat(number)))
        except OSError as error:
            refused = error
    if found:
        return found
    raise refused


@attempt
def read_a_huge_descriptor():
    return os.read(2**31 - 1, 1)


@attempt
def read_a_negative_descriptor():
    return os.read(-1, 1)


@attempt
def duplicate_a_mount():
    return os.dup(3)


@attempt
def reach_above_a_mount_from_its_own_descriptor():
    return os.open("..", os.O_RDONLY, dir_fd=3)


@attempt
def control_a_descriptor():
    import fcntl

    return fcntl.fcntl(0, fcntl.F_GETFL)


@attempt
def write_to_a_mount_as_to_a_file():
    return os.write(3, b"x")


@attempt
def seek_standard_output():
    return os.lseek(1, 0, os.SEEK_SET)


# Sockets


@attempt
def make_a_socket():
    import socket

    return socket.socket()


@attempt
def make_a_unix_socket():
    import socket

    return socket.socket(socket.AF_UNIX)


@attempt
def resolve_a_name():
    import socket

    return socket.getaddrinfo("localhost", 80)


@attempt
def learn_the_host_name():
    import socket

    return socket.gethostname()


@attempt
def fetch_a_page():
    import urllib.request

    return urllib.request.urlopen("http://127.0.0.1:7070/healthz").read()


@attempt
def fetch_a_file_url():
    import urllib.request

    return urllib.request.urlopen("file:///etc/passwd").read()


@attempt
def take_a_connection_from_a_guessed_descriptor():
    import socket

    return socket.socket(fileno=4).accept()


# The environment


@attempt
def read_the_environment():
    return sorted(os.environ)


@attempt
def read_the_secret():
    return os.environ["SKEP_TEST_SECRET"]


@attempt
def find_the_home_directory():
    from pathlib import Path

    return Path.home()


@attempt
def learn_who_runs_this():
    return os.getuid()


@attempt
def look_up_the_user():
    import getpass

    return getpass.getuser()


@attempt
def learn_the_system():
    return os.uname().nodename


@attempt
def learn_the_process_id():
    return os.getpid()


@attempt
def count_the_cores():
    return os.cpu_count()


@attempt
def read_the_arguments():
    return sys.argv


@attempt
def learn_the_load():
    return os.getloadavg()


# Clocks


@attempt
def set_the_clock():
    return time.clock_settime(time.CLOCK_REALTIME, 0)


@attempt
def sleep_and_measure():
    began = time.monotonic()
    time.sleep(0.05)
    took = time.monotonic() - began
    return "slept" if 0.05 <= took < 5 else took


@attempt
def learn_the_time_zone():
    return time.tzname, time.localtime(0).tm_hour


# Processes


@attempt
def fork():
    return os.fork()


@attempt
def execute():
    return os.execv("/bin/sh", ["sh", "-c", "echo escaped"])


@attempt
def run_a_shell():
    return os.system("echo escaped")


@attempt
def open_a_pipe_to_a_shell():
    return os.popen("echo escaped").read()


@attempt
def run_a_subprocess():
    import subprocess

    return subprocess.run(["/bin/echo", "escaped"], capture_output=True)


@attempt
def kill_the_parent():
    return os.kill(os.getppid(), 9)


@attempt
def raise_a_signal():
    import signal

    return signal.alarm(1)


@attempt
def start_a_thread():
    import threading

    return threading.Thread(target=print, args=("escaped",)).start()


@attempt
def start_a_pool():
    import multiprocessing

    return multiprocessing.Pool(2)


@attempt
def load_a_library():
    import ctypes

    return ctypes.CDLL("libc.so.6")


@attempt
def map_memory():
    import mmap

    return mmap.mmap(-1, 1 << 20)


@attempt
def allocate_past_the_limit():
    return len(bytearray(1 << 30))


# Escapes by way of Python itself


@attempt
def import_from_the_host():
    sys.path.insert(0, "/usr/lib/python3/dist-packages")
    try:
        import apt

        return apt
    finally:
        sys.path.pop(0)


@attempt
def import_through_a_link_out():
    sys.path.insert(0, "/work/parent")
    try:
        import outside

        return outside
    finally:
        sys.path.pop(0)


@attempt
def run_a_script_above_the_mount():
    import runpy

    return runpy.run_path("/work/../outside.py")


@attempt
def read_a_zip_above_the_mount():
    import zipfile

    return zipfile.ZipFile("/work/parent/outside.zip")


@attempt
def extract_an_archive_upwards():
    import io
    import tarfile

    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member = tarfile.TarInfo("../extracted")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"out"))
    made.seek(0)
    with tarfile.open(fileobj=made) as archive:
        return archive.extractall("/work", filter="fully_trusted")


@attempt
def find_a_temporary_directory():
    import tempfile

    return tempfile.mkdtemp().startswith("/tmp/")


@attempt
def flood_randomness():
    return len(os.urandom(4 << 20))


def main():
    for number, (name, function) in enumerate(attempts, 1):
        try:
            got = function()
        except Exception as error:
            code = getattr(error, "errno", None) or getattr(error, "name", None) or "-"
            word = f"refused {type(error).__name__} {code}"
        else:
            word = f"GOT {got!r}"
        print(f"{number:02} {name}: {word}", flush=True)
    print("the end")


main()
