;; The imports of the module inside a generated component: functions that need no memory.
(module
    (import "host" "now" (func (result i64)))
    (import "host" "random" (func (result i64)))
    (import "host" "exit" (func (param i32)))
    (import "host" "timer" (func (param i64) (result i32)))
    (import "host" "block" (func (param i32)))
    (import "host" "ready" (func (param i32) (result i32)))
    (import "host" "drop" (func (param i32)))
    (import "host" "stdout" (func (result i32)))
    (import "host" "drop-stream" (func (param i32))))
