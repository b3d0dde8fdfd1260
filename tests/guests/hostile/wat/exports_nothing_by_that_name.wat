;; Exports `wasi:cli/run` as an instance without functions.
(component
    (instance $run)
    (export "wasi:cli/run@0.2.3" (instance $run)))
