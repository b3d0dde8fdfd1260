;; What it is to be run by is an interface without functions.
(component
    (instance $run)
    (export "wasi:cli/run@0.2.3" (instance $run)))
