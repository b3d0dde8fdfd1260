;; A start function with parameters.
(module (func (export "_start") (param i32 i32) (result i32) (i32.const 0)))
