/* A JSON text that is looked through once. `end` holds a byte 0 behind the text, so one byte may always be looked at. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIT 0
#define UNFIT 1
#define NO_MEMORY 2
#define DEEPEST 64

struct page {
  const uint8_t *at, *end;
  uint64_t objects;
  int wide;
};

static void skip_space(struct page *page) {
  while (*page->at == ' ' || *page->at == '\n' || *page->at == '\r' || *page->at == '\t') page->at++;
}

static int word(struct page *page, const char *text, size_t length) {
  if ((size_t)(page->end - page->at) < length || memcmp(page->at, text, length) != 0) return UNFIT;
  page->at += length;
  return FIT;
}

static int is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

/* A number's end is what follows it: anything else would be no JSON. */
static int ends_here(const struct page *page) {
  switch (*page->at) {
    case ',': case '}': case ']': case ' ': case '\n': case '\r': case '\t': return FIT;
    default: return UNFIT;
  }
}
