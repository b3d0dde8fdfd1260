;; Computes until its fuel is used up.
(module (func (export "_start") (loop (br 0))))
