;; A data segment that does not fit into the memory that it is for.
(module
    (memory 1)
    (data (i32.const 65530) "more than six")
    (func (export "_start")))
