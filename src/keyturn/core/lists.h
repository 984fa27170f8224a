/* Where a list is in a JSON text. Strings and brackets are looked at, the rest is for whoever reads it. */
#define MOST_OPEN 1024
#include "blocks.h"

/* Behind a string, whatever is in it. */
static int past_string(struct page *page) {
  page->at++;
  for (;; page->at += 2) {
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (; page->end - page->at >= 8; page->at += 8) {
      uint64_t eight, quote, slash;
      memcpy(&eight, page->at, 8);
      quote = eight ^ ones * '"';
      slash = eight ^ ones * '\\';
      if (((quote - ones) & ~quote & tops) | ((slash - ones) & ~slash & tops)) break;
    }
    while (page->at < page->end && *page->at != '"' && *page->at != '\\') page->at++;
    if (page->at >= page->end) return UNFIT;
    if (*page->at == '"') break;
    if (page->end - page->at < 2) return UNFIT;
  }
  page->at++;
  return FIT;
}

/* Behind a value: its strings and brackets are looked at, the rest is for whoever reads it. */
static int past_value(struct page *page) {
  uint8_t closing[MOST_OPEN];
  int open = 0;
  const uint8_t *from = page->at;
  for (;;) switch (*page->at) {
      case '"':
        if (past_string(page) != FIT) return UNFIT;
        if (open == 0) return FIT;
        break;
      case '{':
      case '[':
        if (open == MOST_OPEN) return UNFIT;
        closing[open++] = *page->at++ == '{' ? '}' : ']';
        break;
      case '}':
      case ']':
        if (open == 0) return page->at > from ? FIT : UNFIT;
        if (closing[--open] != *page->at++) return UNFIT;
        if (open == 0) return FIT;
        break;
      case ',': case ' ': case '\n': case '\r': case '\t':
        if (open == 0) return page->at > from ? FIT : UNFIT;
        page->at++;
        break;
      case 0:
        return UNFIT;
      default:
        page->at++;
    }
}

/* What is behind a list's opening bracket: its values, which are counted, and its end. */
static int past_values(struct page *page, int64_t *many) {
  skip_space(page);
  for (*many = 0; *page->at != ']'; ++*many) {
    if (*many) {
      if (*page->at != ',') return UNFIT;
      page->at++;
      skip_space(page);
    }
    if (past_value(page) != FIT) return UNFIT;
    skip_space(page);
  }
  page->at++;
  return FIT;
}

static int past_list(struct page *page, int64_t *many) {
  if (past_blocks(page, many) == FIT) return FIT;
  page->at++;
  return past_values(page, many);
}

static int list_within(struct page *page, const uint8_t *text, const char *const *keys, size_t depth, int64_t *found) {
  size_t seen = 0, length;
  skip_space(page);
  if (depth == 0) {
    found[0] = page->at - text;
    if (*page->at != '[' || past_list(page, &found[2]) != FIT) return UNFIT;
    found[1] = page->at - text;
    return FIT;
  }
  if (*page->at != '{') return UNFIT;
  do {
    page->at++;
    skip_space(page);
    const uint8_t *key = page->at;
    if (*key != '"' || past_string(page) != FIT) return UNFIT;
    length = (size_t)(page->at - key) - 2;
    if (memchr(key, '\\', length + 1) != NULL) return UNFIT; /* it may be the key, said otherwise */
    skip_space(page);
    if (*page->at != ':') return UNFIT;
    page->at++;
    skip_space(page);
    if (length == strlen(*keys) && memcmp(key + 1, *keys, length) == 0) {
      if (seen++ || list_within(page, text, keys + 1, depth - 1, found) != FIT) return UNFIT;
    } else if (past_value(page) != FIT) {
      return UNFIT;
    }
    skip_space(page);
  } while (*page->at == ',');
  if (*page->at != '}' || !seen) return UNFIT;
  page->at++;
  return FIT;
}
