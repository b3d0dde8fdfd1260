;; Imports an interface for starting programs.
(component
    (import "evil:host/process@1.0.0" (instance
        (export "exec" (func (param "command" string) (result string)))))
    (core module $m (func (export "run") (result i32) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $run)))
