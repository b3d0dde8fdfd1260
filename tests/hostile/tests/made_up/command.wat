    (func $run (result (result)) (canon lift (core func $made-up "run")))
    (instance $exported (export "run" (func $run)))
    (export "wasi:cli/run@0.2.3" (instance $exported))
