;; A shared memory, which no limit would count.
(module
    (memory 1 10000 shared)
    (func (export "_start")))
