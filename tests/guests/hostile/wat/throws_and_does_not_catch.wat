;; An exception that propagates to the host.
(module
    (tag $thrown (param i32))
    (func $throw (throw $thrown (i32.const 7)))
    (func (export "_start") (call $throw)))
