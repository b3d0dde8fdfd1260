;; A service whose handler takes nothing and returns a number.
(component
    (core module $m (func (export "handle") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $handle (result u32) (canon lift (core func $i "handle")))
    (instance $handler (export "handle" (func $handle)))
    (export "skep:worker/handler@0.1.0" (instance $handler)))
