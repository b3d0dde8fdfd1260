;; Computes for as long as its fuel lasts.
(module (func (export "_start") (loop (br 0))))
