;; Allocates objects and drops them at once, so that the engine collects continuously.
(module
    (type $node (array (mut i64)))
    (func (export "_start")
        (loop $again
            (drop (array.new $node (i64.const 7) (i32.const 10000)))
            (br $again))))
