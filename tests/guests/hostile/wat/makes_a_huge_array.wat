;; Allocates one object of 32 GB on the engine's heap.
(module
    (type $bytes (array (mut i64)))
    (func (export "_start")
        (drop (array.new $bytes (i64.const 7) (i32.const -1)))))
