;; One object of 32 GB that the engine would have to keep.
(module
    (type $bytes (array (mut i64)))
    (func (export "_start")
        (drop (array.new $bytes (i64.const 7) (i32.const -1)))))
