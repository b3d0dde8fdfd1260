"""Runs a file with the stock engine: its defaults, WASI, and an epoch deadline.

stock.py FILE DIRECTORY SECONDS
"""

import sys
import threading

import wasmtime
from wasmtime import component

file, directory, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
config = wasmtime.Config()
config.epoch_interruption = True
engine = wasmtime.Engine(config)
wasi = wasmtime.WasiConfig()
wasi.inherit_stdout()
wasi.preopen_dir(directory, "/data")
store = wasmtime.Store(engine)
store.set_wasi(wasi)
store.set_epoch_deadline(1)
deadline = threading.Timer(seconds, engine.increment_epoch)
deadline.daemon = True
with open(file, "rb") as opened:
    wasm = opened.read()
if wasm[4:8] == b"\x0d\x00\x01\x00":
    linker = component.Linker(engine)
    linker.add_wasip2()
    deadline.start()
    linker.instantiate(store, component.Component(engine, wasm))
else:
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    module = wasmtime.Module(engine, wasm)
    deadline.start()
    linker.instantiate(store, module).exports(store)["_start"](store)
