;; A function that calls itself, in WebAssembly's own stack.
(module (func $deeper (export "_start") (call $deeper)))
