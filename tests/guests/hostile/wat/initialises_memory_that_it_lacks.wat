;; A data segment that does not fit into its memory.
(module
    (memory 1)
    (data (i32.const 65530) "more than six")
    (func (export "_start")))
