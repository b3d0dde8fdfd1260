;; A function that recurses on WebAssembly's own stack.
(module (func $deeper (export "_start") (call $deeper)))
