#include "sum.h"

#include <stdlib.h>

long sum(const char *text) {
    long total = 0;
    char *rest;
    for (long n = strtol(text, &rest, 10); rest != text; n = strtol(text, &rest, 10)) {
        total += n;
        text = rest;
    }
    return total;
}
