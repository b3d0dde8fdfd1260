    (import "wasi:io/poll@0.2.3" (instance $poll
        (export "pollable" (type $pollable (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
        (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
        (alias outer 1 $pollable (type $outer))
        (export "pollable" (type $pollable (eq $outer)))
        (export "now" (func (result u64)))
        (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
    (import "wasi:random/random@0.2.3" (instance $random
        (export "get-random-u64" (func (result u64)))))
    (import "wasi:cli/exit@0.2.3" (instance $exit
        (export "exit" (func (param "status" (result))))))
    (import "wasi:io/streams@0.2.3" (instance $streams
        (export "output-stream" (type (sub resource)))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stdout@0.2.3" (instance $stdout
        (alias outer 1 $stream (type $outer))
        (export "output-stream" (type $stream (eq $outer)))
        (export "get-stdout" (func (result (own $stream))))))
    (core func $now (canon lower (func $clock "now")))
    (core func $timer (canon lower (func $clock "subscribe-duration")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $ready (canon lower (func $poll "[method]pollable.ready")))
    (core func $drop (canon resource.drop $pollable))
    (core func $random (canon lower (func $random "get-random-u64")))
    (core func $exit (canon lower (func $exit "exit")))
    (core func $stdout (canon lower (func $stdout "get-stdout")))
    (core func $drop-stream (canon resource.drop $stream))
    (core instance $host
        (export "now" (func $now)) (export "timer" (func $timer)) (export "block" (func $block))
        (export "ready" (func $ready)) (export "drop" (func $drop))
        (export "random" (func $random)) (export "exit" (func $exit))
        (export "stdout" (func $stdout)) (export "drop-stream" (func $drop-stream)))
    (core instance $made-up (instantiate $module (with "host" (instance $host))))
