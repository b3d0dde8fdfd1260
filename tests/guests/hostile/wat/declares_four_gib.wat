;; Starts with all the memory that 32 bits can name.
(module
    (memory 65536)
    (func (export "_start")))
