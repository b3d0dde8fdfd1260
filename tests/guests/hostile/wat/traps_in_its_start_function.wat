;; Traps in its start function.
(module
    (func $prepare unreachable)
    (start $prepare)
    (func (export "_start")))
