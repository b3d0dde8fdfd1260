;; Objects that the engine keeps, each let go of at once: it has to collect all the time.
(module
    (type $node (array (mut i64)))
    (func (export "_start")
        (loop $again
            (drop (array.new $node (i64.const 7) (i32.const 10000)))
            (br $again))))
