<?php
function count_words(string $text): int {
    return count(preg_split('/\s+/', trim($text)));
}
