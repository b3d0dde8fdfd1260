;; Crashes while it is made.
(module
    (func $prepare unreachable)
    (start $prepare)
    (func (export "_start")))
