;; Its start wants what nobody gives it.
(module (func (export "_start") (param i32 i32) (result i32) (i32.const 0)))
