;; Never returns from its start function.
(module
    (func $prepare (loop (br 0)))
    (start $prepare)
    (func (export "_start")))
