;; Never gets to its start: the function that prepares it does not end.
(module
    (func $prepare (loop (br 0)))
    (start $prepare)
    (func (export "_start")))
