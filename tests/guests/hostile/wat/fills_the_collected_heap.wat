;; Grows a list of objects on the engine's collected heap.
(module
    (type $node (struct (field (ref null $node)) (field i64) (field i64)))
    (global $list (mut (ref null $node)) (ref.null $node))
    (func (export "_start")
        (loop $again
            (global.set $list
                (struct.new $node (global.get $list) (i64.const 1) (i64.const 2)))
            (br $again))))
