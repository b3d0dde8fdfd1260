#include <stdio.h>

#include "sum.h"

int main(int count, char **words) {
    for (int at = 1; at < count; at++) {
        printf("%ld\n", sum(words[at]));
    }
    return sum("40 2") == 42 && sum("-1 1") == 0 && sum("") == 0 ? 0 : 1;
}
