/* Adds the numbers of a text. */
long sum(const char *text);
