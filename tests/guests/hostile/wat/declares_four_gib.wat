;; Starts with the largest 32-bit memory.
(module
    (memory 65536)
    (func (export "_start")))
