;; Starts with a 64-bit memory larger than any machine's.
(module
    (memory i64 0x1000000000)
    (func (export "_start")))
