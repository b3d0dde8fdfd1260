<?php
function greet(string $who): string {
    return "Hello, $who!";
}
